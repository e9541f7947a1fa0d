// Delegation (the kernel's Documentation/admin-guide/cgroup-v2.rst, "Delegation").
#include "files.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <cgroup/group.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace corten::cgroup {
namespace {

/// What a group's owner has to be able to write.
std::vector<std::string> delegated_files() {
    const auto listed = sys::read_file("/sys/kernel/cgroup/delegate");
    if (!listed) return {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"};
    std::vector<std::string> files;
    for (auto& name : split(*listed, '\n'))
        if (!name.empty()) files.emplace_back(name);
    return files;
}

/// The group at or below `directory` that has the process; "" when none has.
Result<std::string> find_process(const std::string& directory, const std::string& pid) {
    const auto members = split(read_control(directory, "cgroup.procs").value_or(""), '\n');
    if (std::ranges::find(members, pid) != members.end()) return directory;
    for (const auto& below : TRY(subgroups(directory)))
        if (auto found = TRY(find_process(below, pid)); !found.empty()) return found;
    return std::string();
}

}  // namespace

Result<void> Group::delegate_to(uid_t owner) const {
    const auto path = v2_directory();
    if (path.empty())
        return fail(ErrorKind::unsupported, "cgroup {}: only cgroup v2 can be delegated", path_);
    constexpr auto keep_group = static_cast<gid_t>(-1);
    const Fd directory = TRY(sys::open(path, O_RDONLY | O_DIRECTORY));
    for (const auto& name : delegated_files())
        // Of a controller that is not there, or of a newer kernel.
        if (::fchownat(directory.raw(), name.c_str(), owner, keep_group, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno != ENOENT)
            return fail_errno("delegate cgroup {}: {}", path, name);
    if (::fchown(directory.raw(), owner, keep_group) < 0)
        return fail_errno("delegate cgroup {}", path);
    return {};
}

Result<Group> Group::beside(pid_t process) const {
    const auto directory = v2_directory();
    if (directory.empty() || read_control(directory, "cgroup.subtree_control").value_or("").empty())
        return *this;
    const auto found = TRY(find_process(directory, fmt::to_string(process)));
    Group group = *this;
    // In none: the kernel then says why it lets nobody in.
    if (!found.empty()) std::ranges::find(group.directories_, true, &Directory::v2)->path = found;
    return group;
}

}  // namespace corten::cgroup
