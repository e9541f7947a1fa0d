#pragma once
#include <cgroup/group.hpp>

#include <map>
#include <string>
#include <vector>

namespace corten::cgroup {

/// "2MB", "1GB": the sizes of pages that a group has files hugetlb.SIZE`ending` of.
std::vector<std::string> hugetlb_sizes(const std::string& directory, std::string_view ending);

std::map<std::string, HugetlbStats> read_hugetlb_v2(const std::string& directory);

Stats read_stats_v1(const Group& group);
Stats read_stats_v2(const std::string& directory);

}  // namespace corten::cgroup
