#include "rootfs.hpp"

#include "root.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/mountinfo.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace corten::runtime {
namespace {

struct Propagation {
    unsigned long value;
    bool recursive;
};

Propagation propagation_of(const std::string& name) {
    const bool recursive = name.starts_with('r');
    const auto word = recursive ? name.substr(1) : name;
    if (word == "shared") return {MS_SHARED, recursive};
    if (word == "private") return {MS_PRIVATE, recursive};
    if (word == "unbindable" || name == "unbindable") return {MS_UNBINDABLE, false};
    return {MS_SLAVE, true};  // the specification's default is up to us: as runc has it
}

/// Mounts that are made from here on must not reach the host: shared or not, what we inherited
/// becomes at most a slave of it until the container's root is in place.
Result<void> cut_propagation(const LaunchPlan& plan) {
    const auto wanted = propagation_of(plan.spec.linux_section.rootfs_propagation);
    const auto value = wanted.value == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE;
    return sys::set_propagation("/", value | MS_REC);
}

Result<Fd> detached_root(LaunchPlan& plan) {
    if (plan.root_mount) return std::move(plan.root_mount);
    const Fd directory = TRY(sys::open(plan.root_path, O_PATH | O_DIRECTORY));
    return sys::clone_mount(directory, "", sys::Depth::recursive);
}

/// Hooks look for the root at root.path, so it goes there when that is a directory; else onto "/",
/// where it stays out of the way of every path.
Result<Fd> place_for_root(const LaunchPlan& plan) {
    auto at_path = sys::open(plan.root_path, O_PATH | O_DIRECTORY);
    if (at_path) return at_path;
    return sys::open("/", O_PATH | O_DIRECTORY);
}

/// Whoever is moved out of the host's tree and not out of its mounts could still mount a procfs
/// without the masks: the kernel allows one where another, unmasked, is to be seen.
Result<void> hide_kernel_file_systems(const std::string& root_path) {
    const auto text = TRY(sys::read_file("/proc/self/mountinfo"));
    for (const auto& place : kernel_file_systems(text, root_path)) {
        if (::umount2(place.c_str(), MNT_DETACH) == 0) continue;
        if (errno != EINVAL && errno != EPERM) return fail_errno("detach {}", place);
        // It came with the namespace and cannot go.
        if (::mount("tmpfs", place.c_str(), "tmpfs", 0, nullptr) < 0)
            return fail_errno("cover {}", place);
    }
    return {};
}

Result<void> move_to_root(FdView root, const std::string& root_path) {
    TRY(hide_kernel_file_systems(root_path).context("hide the host's procfs and sysfs"));
    if (::fchdir(root.raw()) < 0) return fail_errno("enter the root");
    if (::mount(".", "/", nullptr, MS_MOVE, nullptr) < 0) return fail_errno("move the root to /");
    if (::chroot(".") < 0) return fail_errno("chroot");
    if (::chdir("/") < 0) return fail_errno("enter the root");
    return {};
}

}  // namespace

std::vector<std::string> kernel_file_systems(std::string_view mountinfo,
                                             const std::string& root_path) {
    std::vector<std::string> places;
    for (const auto& line : split(mountinfo, '\n')) {
        const auto fields = split(line, ' ');
        const auto dash = std::ranges::find(fields, "-");
        if (dash - fields.begin() < 5 || fields.end() - dash < 2) continue;
        auto place = sys::mountinfo_unescaped(fields[4]);
        const bool kernels = dash[1] == "proc" || dash[1] == "sysfs";
        if (kernels && !place.starts_with(root_path + "/")) places.push_back(std::move(place));
    }
    return places;
}

Result<Fd> attach_root(LaunchPlan& plan) {
    const bool isolated = plan.namespaces.own(CLONE_NEWNS);
    // The directory itself, by chroot.
    if (!isolated && !plan.mounts_on_host())
        return sys::open(plan.root_path, O_PATH | O_DIRECTORY).context("root.path");
    if (isolated) TRY(cut_propagation(plan));
    Fd root = TRY(detached_root(plan).context(fmt::format("root.path: {}", plan.root_path)));
    const Fd place = TRY(place_for_root(plan));
    TRY(sys::attach_mount(root, place).context("attach the root"));
    // pivot_root refuses a shared root, and mounts below it must not propagate while we work.
    TRY(sys::set_mount_attributes(root, {.propagation = MS_PRIVATE}, sys::Depth::recursive));
    return root;
}

Result<void> change_root(FdView root, const LaunchPlan& plan) {
    if (!plan.namespaces.own(CLONE_NEWNS)) {
        if (::fchdir(root.raw()) < 0 || ::chroot(".") < 0 || ::chdir("/") < 0)
            return fail_errno("chroot to {}", plan.root_path);
        return {};
    }
    return plan.no_pivot ? move_to_root(root, plan.root_path) : sys::pivot_root_to(root);
}

Result<void> finish_root(FdView root, const LaunchPlan& plan) {
    if (!plan.namespaces.own(CLONE_NEWNS)) return {};
    const auto& name = plan.spec.linux_section.rootfs_propagation;
    if (!name.empty()) {
        const auto wanted = propagation_of(name);
        TRY(sys::set_mount_attributes(root, {.propagation = wanted.value},
                                      wanted.recursive ? sys::Depth::recursive : sys::Depth::single)
                .context("linux.rootfsPropagation"));
    }
    for (const auto& mount : plan.mounts)
        if (mount.read_only_later)
            TRY(sys::set_mount_attributes(
                    TRY(sys::open_in_root(root, mount.destination, O_PATH | O_DIRECTORY)),
                    {.set = MOUNT_ATTR_RDONLY}, sys::Depth::single)
                    .context(mount.field));
    if (!plan.spec.root->readonly) return {};
    return sys::set_mount_attributes(root, {.set = MOUNT_ATTR_RDONLY}, sys::Depth::single)
        .context("root.readonly");
}

}  // namespace corten::runtime
