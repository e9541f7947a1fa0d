#pragma once
#include <cgroup/group.hpp>

namespace corten::cgroup {

Stats read_stats_v1(const Group& group);
Stats read_stats_v2(const std::string& directory);

}  // namespace corten::cgroup
