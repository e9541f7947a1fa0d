#include "files.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <cgroup/group.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace corten::cgroup {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

/// A group's own position under the mount: what is visible there begins at `root`.
std::string below_mount(const Hierarchy& hierarchy) {
    std::string_view own = hierarchy.own_path;
    if (hierarchy.root != "/" && own.starts_with(hierarchy.root))
        own.remove_prefix(hierarchy.root.size());
    while (own.ends_with('/')) own.remove_suffix(1);
    return std::string(own);
}

std::string directory_in(const Hierarchy& hierarchy, std::string_view path) {
    while (path.ends_with('/')) path.remove_suffix(1);
    if (path.starts_with('/')) return hierarchy.mount_point + std::string(path);
    return fmt::format("{}{}/{}", hierarchy.mount_point, below_mount(hierarchy), path);
}

Result<void> check_path(std::string_view path) {
    if (path.empty() || path == "/") return fail(ErrorKind::invalid, "cgroup path is empty");
    for (const auto& part : split(path, '/'))
        if (part == "..") return fail(ErrorKind::invalid, "cgroup path {} contains \"..\"", path);
    return {};
}

/// A new cpuset is empty and nothing can run in it until it has its parent's processors and nodes,
/// which somebody else may have left as empty. The topmost is never.
Result<void> inherit_cpuset(const std::string& directory) {
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
        if (!TRY(read_control(directory, file)).empty()) continue;
        auto inherited = TRY(read_control(parent_of(directory), file));
        if (inherited.empty()) {
            TRY(inherit_cpuset(parent_of(directory)));
            inherited = TRY(read_control(parent_of(directory), file));
        }
        TRY(write_control(directory, file, inherited, "CONFIG_CPUSETS"));
    }
    return {};
}

/// v2 shows a controller's files in a group only when its parent hands the controller down.
void hand_down_controllers(const std::string& parent, const std::vector<std::string>& controllers) {
    const auto enabled = read_control(parent, "cgroup.subtree_control").value_or("");
    const auto names = split(enabled, ' ');
    for (const auto& controller : controllers)
        if (std::ranges::find(names, controller) == names.end())
            // One by one: a controller that cannot be handed down (cpu with real-time tasks about)
            // must not keep the others from it. What is then missing is said by apply().
            write_control(parent, "cgroup.subtree_control", "+" + controller, "cgroup2").ignore();
}

Result<void> prepare(const std::string& directory, const Hierarchy& hierarchy, bool v2) {
    if (!v2 && hierarchy.has("cpuset")) return inherit_cpuset(directory);
    return {};
}

Result<void> refuse_if_in_use(const std::string& directory) {
    if (::access((directory + "/cgroup.procs").c_str(), W_OK) < 0)
        return fail_errno("take over cgroup {}", directory);
    const auto frozen = read_control(directory, "freezer.state").value_or("");
    if (frozen == "FROZEN" || read_number(directory, "cgroup.freeze").value_or(0) == 1)
        return fail(ErrorKind::conflict, "container's cgroup unexpectedly frozen: thaw {} first",
                    directory);
    if (!TRY(read_control(directory, "cgroup.procs")).empty())
        return fail(ErrorKind::conflict, "container's cgroup is not empty: processes are in {}",
                    directory);
    return {};
}

/// mkdir of `directory` and its parents down to the mount, each prepared. Undone by `undo`.
Result<void> make(const std::string& directory, const Hierarchy& hierarchy, bool v2,
                  Rollback& undo) {
    if (::mkdir(directory.c_str(), 0755) < 0) {
        if (errno == EEXIST) return {};
        if (errno != ENOENT || directory.size() <= hierarchy.mount_point.size())
            return fail_errno("make cgroup {}", directory);
        TRY(make(parent_of(directory), hierarchy, v2, undo));
        if (::mkdir(directory.c_str(), 0755) < 0 && errno != EEXIST)
            return fail_errno("make cgroup {}", directory);
    }
    undo.add([directory] { ::rmdir(directory.c_str()); });
    return prepare(directory, hierarchy, v2);
}

/// A group of v2 and those above it that are missing, from the mount downwards, so that each level
/// has what it hands down.
Result<void> make_v2(const std::string& directory, const Hierarchy& hierarchy, Rollback& undo) {
    const std::string below = directory.substr(hierarchy.mount_point.size() + 1);
    std::string at = hierarchy.mount_point;
    for (const auto& part : split(below, '/')) {
        hand_down_controllers(at, hierarchy.controllers);
        at += "/" + part;
        TRY(make(at, hierarchy, true, undo));
    }
    return {};
}

Result<void> make_leaf(const std::string& directory, const Hierarchy& hierarchy, bool v2,
                       Rollback& undo) {
    if (v2) {
        TRY(make_v2(directory, hierarchy, undo));
        return refuse_if_in_use(directory);
    }
    const bool existed = ::mkdir(directory.c_str(), 0755) < 0 && errno == EEXIST;
    if (existed) {
        TRY(refuse_if_in_use(directory));
        return prepare(directory, hierarchy, v2);
    }
    // Either just made (make() sees EEXIST then) or its parent is missing.
    if (::access(directory.c_str(), F_OK) != 0) return make(directory, hierarchy, v2, undo);
    undo.add([directory] { ::rmdir(directory.c_str()); });
    return prepare(directory, hierarchy, v2);
}

/// EBUSY for a short while is normal: a process that just died is still being taken apart.
Result<void> remove_directory(const std::string& directory, Clock::time_point deadline) {
    for (auto pause = milliseconds(1);; pause = std::min(pause * 2, milliseconds(50))) {
        if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
        if (errno != EBUSY && errno != ENOTEMPTY) return fail_errno("remove cgroup {}", directory);
        for (const auto& child : TRY(subgroups(directory))) TRY(remove_directory(child, deadline));
        if (Clock::now() >= deadline)
            return fail(ErrorKind::conflict, "remove cgroup {}: it is still in use", directory)
                .with_number(EBUSY);
        if (::rmdir(directory.c_str()) == 0) return {};
        std::this_thread::sleep_for(pause);
    }
}

}  // namespace

Result<Group> Group::create(const Layout& layout, std::string_view path, OnHybrid halves) {
    TRY(check_path(path));
    if (layout.mode == Mode::none)
        return fail(ErrorKind::unsupported,
                    "no cgroup hierarchy is mounted (CONFIG_CGROUPS, /sys/fs/cgroup)");
    Group group;
    group.path_ = path;
    group.unified_ = layout.unified();
    Rollback undo;
    const auto add = [&](const Hierarchy& hierarchy, bool v2) -> Result<void> {
        const std::string directory = directory_in(hierarchy, path);
        TRY(make_leaf(directory, hierarchy, v2, undo));
        group.directories_.push_back({directory, hierarchy.controllers, v2});
        return {};
    };
    for (const auto& hierarchy : layout.v1) TRY(add(hierarchy, false));
    if (group.unified_ || (layout.mode == Mode::hybrid && halves == OnHybrid::both))
        TRY(add(*layout.v2, true));
    undo.commit();
    return group;
}

Result<Group> Group::open(const Layout& layout, std::string_view path) {
    TRY(check_path(path));
    Group group;
    group.path_ = path;
    group.unified_ = layout.unified();
    const auto add = [&](const Hierarchy& hierarchy, bool v2) -> Result<void> {
        const std::string directory = directory_in(hierarchy, path);
        if (::access(directory.c_str(), F_OK) == 0)
            group.directories_.push_back({directory, hierarchy.controllers, v2});
        else if (errno != ENOENT && errno != ENOTDIR)
            return fail_errno("cgroup {}", directory);
        return {};
    };
    if (group.unified_)
        TRY(add(*layout.v2, true));
    else
        for (const auto& hierarchy : layout.v1) TRY(add(hierarchy, false));
    if (!group.valid()) return fail(ErrorKind::not_found, "cgroup {} does not exist", path);
    // What systemd follows on a hybrid machine: who is not in it does not count as the unit's.
    if (layout.mode == Mode::hybrid) TRY(add(*layout.v2, true));
    return group;
}

Result<Group> Group::complete(const Layout& layout, std::string_view path) {
    const auto theirs = TRY(open(layout, path));
    Rollback undo;
    if (layout.unified()) TRY(make_v2(theirs.v2_directory(), *layout.v2, undo));
    for (const auto& hierarchy : layout.v1) {
        const std::string directory = directory_in(hierarchy, path);
        TRY(make(directory, hierarchy, false, undo));
        TRY(prepare(directory, hierarchy, false));
    }
    auto group = TRY(open(layout, path));
    // A process that is missing in one would not be held by its limits.
    for (const auto& hierarchy : layout.v1)
        if (group.directory(hierarchy.controllers[0]).empty())
            return fail(ErrorKind::conflict, "cgroup {}: somebody took it away while it was made",
                        directory_in(hierarchy, path));
    undo.commit();
    return group;
}

Result<Group> Group::below(const std::vector<std::string>& controllers,
                           std::string_view path) const {
    const auto parts = split(path, '/');
    if (std::ranges::find(parts, "..") != parts.end())
        return fail(ErrorKind::invalid, "bad sub cgroup path: {} is not a sub cgroup path", path);
    for (const auto& controller : controllers)
        if (unified_ || directory(controller).empty())
            return fail(ErrorKind::invalid, "unknown controller {}", controller);
    Group group = *this;
    group.path_ += "/" + std::string(path);
    for (auto& place : group.directories_) {
        if (!controllers.empty() &&
            std::ranges::find_first_of(place.controllers, controllers) == place.controllers.end())
            continue;
        place.path += "/" + std::string(path);
        const auto members = place.path + "/cgroup.procs";
        if (::access(members.c_str(), F_OK) == 0) continue;
        if (errno != ENOENT) return fail_errno("adding pid to {}", members);
        return fail(ErrorKind::not_found, "adding pid to {}: no such file or directory", members);
    }
    return group;
}

Result<void> Group::refuse_if_in_use() const {
    for (const auto& directory : directories_) TRY(cgroup::refuse_if_in_use(directory.path));
    return {};
}

std::vector<std::string> Group::directories() const {
    std::vector<std::string> paths;
    paths.reserve(directories_.size());
    for (const auto& directory : directories_) paths.push_back(directory.path);
    return paths;
}

std::string Group::directory(std::string_view controller) const {
    if (unified_) return directories_.empty() ? "" : directories_[0].path;
    for (const auto& directory : directories_)
        if (!directory.v2 &&
            std::ranges::find(directory.controllers, controller) != directory.controllers.end())
            return directory.path;
    return "";
}

std::string Group::v2_directory() const {
    const auto found = std::ranges::find(directories_, true, &Directory::v2);
    return found == directories_.end() ? "" : found->path;
}

std::vector<std::pair<std::string, std::string>> Group::controllers() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (const auto& directory : directories_) {
        if (directory.v2) {
            all.emplace_back("", directory.path);
            continue;
        }
        for (const auto& controller : directory.controllers)
            all.emplace_back(controller, directory.path);
    }
    return all;
}

Result<void> Group::remove(std::chrono::milliseconds patience) const {
    const auto deadline = Clock::now() + patience;
    Result<void> outcome;
    for (const auto& directory : directories_) {
        auto removed = remove_directory(directory.path, deadline);
        if (outcome) outcome = std::move(removed);
    }
    return outcome;
}

}  // namespace corten::cgroup
