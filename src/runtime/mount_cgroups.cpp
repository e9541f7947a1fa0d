#include "root.hpp"
#include "rootfs.hpp"

#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime {
namespace {

std::string base_name(const std::string& path) {
    return split_path(path).name;
}

unsigned attributes_of(const MountPlan& mount) {
    return static_cast<unsigned>(mount.options.set);
}

/// In a cgroup namespace a new mount shows the namespace's root; without one the group's directory
/// is bound, which looks the same from inside.
Result<Fd> group_tree(const std::string& host_directory) {
    const Fd directory = TRY(sys::open(host_directory, O_PATH | O_DIRECTORY));
    return sys::clone_mount(directory, "", sys::Depth::single);
}

Result<void> attach_group(FdView tree, FdView target, const MountPlan& mount) {
    TRY(sys::attach_mount(tree, target));
    return sys::set_mount_attributes(tree, {.set = mount.options.set, .propagation = MS_PRIVATE},
                                     sys::Depth::single);
}

Result<Fd> v2_tree(const MountPlan& mount, const LaunchPlan& plan) {
    if (plan.namespaces.own(CLONE_NEWCGROUP)) {
        const auto context = TRY(sys::FileSystemContext::open("cgroup2"));
        auto made = context.mount(attributes_of(mount));
        // EPERM and EBUSY: a user namespace without rights over it. The bind is as good.
        if (made || (made.error().number() != EPERM && made.error().number() != EBUSY)) return made;
    }
    const auto directory = plan.cgroup.v2_directory();
    const auto& host = plan.cgroup_layout.v2;
    if (directory.empty() && !host)
        return fail(ErrorKind::unsupported, "no cgroup2 hierarchy is mounted on the host");
    return group_tree(directory.empty() ? host->mount_point : directory);
}

Result<Fd> v1_tmpfs(const MountPlan& mount, const std::string& label) {
    const auto context = TRY(sys::FileSystemContext::open("tmpfs"));
    TRY(context.set("source", "tmpfs"));
    TRY(context.set("mode", "755"));
    TRY(label_file_system(context, label));
    // Read-only comes last: directories are made in it first.
    return context.mount(attributes_of(mount) & ~static_cast<unsigned>(MOUNT_ATTR_RDONLY));
}

/// "cpu -> cpu,cpuacct" for controllers that share a hierarchy.
Result<void> link_controllers(FdView tmpfs, const cgroup::Hierarchy& hierarchy,
                              const std::string& name) {
    if (hierarchy.controllers.size() < 2) return {};
    for (const auto& controller : hierarchy.controllers)
        if (controller != name && ::symlinkat(name.c_str(), tmpfs.raw(), controller.c_str()) < 0 &&
            errno != EEXIST)
            return fail_errno("link {}", controller);
    return {};
}

Result<void> mount_hierarchy(FdView tmpfs, const cgroup::Hierarchy& hierarchy,
                             const MountPlan& mount, const LaunchPlan& plan) {
    const auto name = base_name(hierarchy.mount_point);
    if (::mkdirat(tmpfs.raw(), name.c_str(), 0755) < 0 && errno != EEXIST)
        return fail_errno("mkdir {}", name);
    auto directory = plan.cgroup.directory(hierarchy.controllers[0]);
    if (directory.empty()) directory = hierarchy.mount_point;
    const Fd tree = TRY(group_tree(directory));
    const Fd target = TRY(sys::open_at(tmpfs, name, O_PATH | O_NOFOLLOW | O_DIRECTORY));
    TRY(attach_group(tree, target, mount));
    return link_controllers(tmpfs, hierarchy, name);
}

Result<void> mount_v1(FdView target, const MountPlan& mount, const LaunchPlan& plan) {
    const Fd tmpfs = TRY(v1_tmpfs(mount, plan.spec.linux_section.mount_label));
    TRY(sys::attach_mount(tmpfs, target));
    for (const auto& hierarchy : plan.cgroup_layout.v1)
        TRY(mount_hierarchy(tmpfs, hierarchy, mount, plan).context(hierarchy.mount_point));
    if ((mount.options.set & MOUNT_ATTR_RDONLY) == 0) return {};
    return sys::set_mount_attributes(tmpfs, {.set = MOUNT_ATTR_RDONLY}, sys::Depth::single);
}

}  // namespace

Result<void> mount_cgroups(FdView root, const MountPlan& mount, const LaunchPlan& plan) {
    const Fd target = TRY(open_or_make(root, mount.destination, Target::directory));
    if (mount.type == "cgroup2" || plan.cgroup_layout.unified()) {
        const Fd tree = TRY(v2_tree(mount, plan));
        return attach_group(tree, target, mount);
    }
    return mount_v1(target, mount, plan);
}

}  // namespace corten::runtime
