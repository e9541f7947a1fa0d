#include "read_stats.hpp"

#include <sys/file.hpp>

namespace corten::cgroup {

Result<Stats> Group::stats() const {
    if (!valid()) return fail(ErrorKind::not_found, "there is no cgroup to read");
    return unified_ ? read_stats_v2(directories_[0].path) : read_stats_v1(*this);
}

std::vector<std::string> hugetlb_sizes(const std::string& directory, std::string_view ending) {
    constexpr std::string_view beginning = "hugetlb.";
    std::vector<std::string> sizes;
    for (const auto& name : sys::list_directory(directory).value_or({})) {
        if (!name.starts_with(beginning) || !name.ends_with(ending)) continue;
        const auto size =
            name.substr(beginning.size(), name.size() - beginning.size() - ending.size());
        // Not the reservations' files: "2MB.rsvd".
        if (size.find('.') == size.npos) sizes.push_back(size);
    }
    return sizes;
}

}  // namespace corten::cgroup
