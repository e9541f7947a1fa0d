#include "read_stats.hpp"

namespace corten::cgroup {

Result<Stats> Group::stats() const {
    if (!valid()) return fail(ErrorKind::not_found, "there is no cgroup to read");
    return unified_ ? read_stats_v2(directories_[0].path) : read_stats_v1(*this);
}

}  // namespace corten::cgroup
