#pragma once
// Limits that v1, in whose units the specification speaks, and v2 count differently.
#include <cstdint>

namespace corten::cgroup {

/// 2 to 262144 processor shares as a weight of 1 to 10000; 0, nothing asked, stays 0. It is the
/// newer formula of crun(1), in which 1024 shares are the usual weight, 100.
std::uint64_t weight_from_shares(std::uint64_t shares);
/// A block device weight of 10 to 1000 as one of 1 to 10000, by the formula of crun(1).
std::uint64_t io_weight_from_blkio(std::uint16_t weight);

}  // namespace corten::cgroup
