#pragma once
#include <cgroup/group.hpp>

namespace corten::cgroup {

/// "2MB", "1GB": the sizes of pages that a group has files hugetlb.SIZE`ending` of.
std::vector<std::string> hugetlb_sizes(const std::string& directory, std::string_view ending);

Stats read_stats_v1(const Group& group);
Stats read_stats_v2(const std::string& directory);

}  // namespace corten::cgroup
