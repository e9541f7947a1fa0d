#pragma once
// Counters of the interfaces in a network namespace, for the stats API.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::network {

/// Since the interface was made. Bytes and packets as the container sees them: rx is what it got.
struct InterfaceStats {
    std::string name;
    std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
    std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

/// Every interface but loopback, by interface number. Opens a socket inside through a helper
/// thread: for containers that this daemon has a Sandbox of, Networks::stats() is cheaper.
Result<std::vector<InterfaceStats>> interface_stats(FdView network_namespace);

}  // namespace corten::network
