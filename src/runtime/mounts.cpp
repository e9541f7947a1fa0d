// The entries of spec.mounts. In the new process, before pivot_root.
#include "root.hpp"
#include "rootfs.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace corten::runtime {
namespace {

sys::Depth depth(bool recursive) {
    return recursive ? sys::Depth::recursive : sys::Depth::single;
}

/// Files of procfs that something else may be mounted on.
bool is_replaceable(const std::string& destination) {
    constexpr std::array<std::string_view, 12> files{"/proc/cpuinfo",
                                                     "/proc/diskstats",
                                                     "/proc/meminfo",
                                                     "/proc/stat",
                                                     "/proc/swaps",
                                                     "/proc/uptime",
                                                     "/proc/loadavg",
                                                     "/proc/slabinfo",
                                                     "/proc/net/dev",
                                                     "/proc/sys/kernel/ns_last_pid",
                                                     "/proc/sys/crypto/fips_enabled",
                                                     "/proc/sys/fs/binfmt_misc"};
    return std::ranges::find(files, destination) != files.end();
}

/// What is there by the name, which may be a link of the image: procfs takes no mounts but itself
/// and those files. `tree` is what is to be mounted, or invalid for what is no procfs.
Result<void> check_target(const MountPlan& mount, FdView target, FdView tree) {
    const auto destination = clean_path(mount.destination);
    const bool over_procfs = TRY(is_on(target, PROC_SUPER_MAGIC));
    if (!over_procfs && destination != "/proc") return {};
    if (mount.type == "proc") return {};
    if (tree.valid() && TRY(is_root_of(tree, PROC_SUPER_MAGIC))) return {};
    if (over_procfs && is_replaceable(destination)) return {};
    return fail(ErrorKind::invalid, "{}.destination: only proc can be mounted on {}", mount.field,
                destination == "/proc" ? "/proc" : destination + ", which leads into /proc");
}

/// "/proc" and "/sys" of an image may be symlinks; what we mount there must really be there.
Result<void> refuse_symlink(FdView root, const MountPlan& mount) {
    if (mount.type != "proc" && mount.type != "sysfs" && !mount.options.dest_no_follow) return {};
    const auto at = split_path(clean_path(mount.destination));
    const auto parent = TRY(open_if_there(root, at.directory));
    if (!parent || at.name.empty()) return {};
    struct ::stat info{};
    if (::fstatat(parent.raw(), at.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) return {};
        return fail_errno("{}.destination: {}", mount.field, mount.destination);
    }
    if (!S_ISLNK(info.st_mode)) return {};
    return fail(ErrorKind::invalid,
                "{}.destination: {} is a symbolic link in the root; it "
                "must be mounted on ordinary directory",
                mount.field, mount.destination);
}

/// A tmpfs over a directory takes its mode when none is asked for, as the specification's users
/// expect from runc.
Result<std::string> inherited_mode(FdView root, const MountPlan& mount) {
    const auto& data = mount.options.data;
    if (mount.type != "tmpfs" ||
        std::ranges::any_of(data, [](const auto& entry) { return entry.first == "mode"; }))
        return std::string();
    const Fd there = TRY(open_if_there(root, mount.destination));
    if (!there) return std::string();
    struct ::stat info{};
    if (::fstat(there.raw(), &info) < 0) return fail_errno("{}", mount.destination);
    return fmt::format("{:o}", info.st_mode & 07777);
}

/// As runc has it: the kernel takes no context for procfs and sysfs, and for message queues only
/// afterwards. A context in the mount's own options goes before.
bool takes_context(const MountPlan& mount) {
    if (mount.type == "proc" || mount.type == "sysfs" || mount.type == "mqueue") return false;
    return std::ranges::none_of(mount.options.data, [](const auto& entry) {
        return entry.first == "context" || entry.first == "fscontext" ||
               entry.first == "defcontext" || entry.first == "rootcontext";
    });
}

/// One with a disk below it, perhaps, which has to be opened read-only then: mount(2) says "ro" of
/// the file system and of the mount alike. Those without are the kernel's own.
bool may_have_source(const MountPlan& mount) {
    constexpr std::array<std::string_view, 5> without{"proc", "sysfs", "tmpfs", "devpts", "mqueue"};
    return std::ranges::find(without, mount.type) == without.end();
}

Result<Fd> new_file_system(FdView root, const MountPlan& mount, const std::string& label) {
    const auto context = TRY(sys::FileSystemContext::open(mount.type));
    if (may_have_source(mount) && (mount.options.set & MOUNT_ATTR_RDONLY) != 0)
        TRY(context.set_flag("ro"));
    if (!mount.source.empty()) TRY(context.set("source", mount.source));
    for (const auto& [key, value] : mount.options.data) {
        // devpts is always a new instance since Linux 4.7, and the word is ignored there.
        if (mount.type == "devpts" && key == "newinstance") continue;
        TRY(value.empty() ? context.set_flag(key) : context.set(key, value));
    }
    for (const auto& flag : mount.options.super_flags) TRY(context.set_flag(flag));
    const auto mode = TRY(inherited_mode(root, mount));
    if (!mode.empty()) TRY(context.set("mode", mode));
    if (takes_context(mount)) TRY(label_file_system(context, label));
    return context.mount(static_cast<unsigned>(mount.options.set));
}

Result<Fd> open_target(FdView root, const MountPlan& mount) {
    return open_or_make(root, mount.destination, mount.directory ? Target::directory : Target::file)
        .context(fmt::format("{}.destination: {}", mount.field, mount.destination));
}

/// Attributes that apply to the tree as a whole, and how it propagates.
Result<void> apply_tree_attributes(const MountPlan& mount, FdView tree, std::uint64_t fallback) {
    const auto& options = mount.options;
    if (options.recursive_set != 0 || options.recursive_clear != 0)
        TRY(sys::set_mount_attributes(
            tree, {.set = options.recursive_set, .clear = options.recursive_clear},
            sys::Depth::recursive));
    const auto wanted = options.propagation != 0 ? options.propagation : fallback;
    if (wanted == 0) return {};
    const bool recursive = options.propagation == 0 || options.recursive_propagation;
    return sys::set_mount_attributes(tree, {.propagation = wanted}, depth(recursive));
}

/// A copy of a mount that is shared on the host is shared with it. Unless it was asked for, what is
/// mounted in the container must not appear on the host.
std::uint64_t default_propagation(const LaunchPlan& plan) {
    const auto& name = plan.spec.linux_section.rootfs_propagation;
    if (name == "private" || name == "rprivate") return MS_PRIVATE;
    return MS_SLAVE;
}

Result<void> make_link(FdView root, const MountPlan& mount) {
    const auto at = split_path(clean_path(mount.destination));
    const Fd parent = TRY(open_or_make(root, at.directory, Target::directory));
    if (::symlinkat(mount.link.c_str(), parent.raw(), at.name.c_str()) == 0) return {};
    if (errno != EEXIST) return fail_errno("{}: link {}", mount.field, mount.destination);
    char there[PATH_MAX];
    const ssize_t n = ::readlinkat(parent.raw(), at.name.c_str(), there, sizeof there);
    if (n >= 0 && std::string_view(there, static_cast<std::size_t>(n)) == mount.link) return {};
    return fail(ErrorKind::conflict, "{}: {} exists and is not this link", mount.field,
                mount.destination);
}

Result<void> mount_by_path(const MountPlan& mount, FdView target, const std::string& label) {
    std::string data = mount.options.data_text();
    // In quotes, for the commas of its categories; a label has no quotes itself.
    if (!label.empty() && takes_context(mount))
        data += fmt::format("{}context=\"{}\"", data.empty() ? "" : ",", label);
    constexpr unsigned long now = MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_RDONLY;
    return sys::mount_at(mount.source.empty() ? mount.type : mount.source,
                         fmt::format("/proc/self/fd/{}", target.raw()), mount.type,
                         mount.options.flags() & now, data);
}

/// fsconfig(2) takes no value as long as that.
bool is_too_long_for_descriptors(const MountPlan& mount) {
    constexpr std::size_t longest = 255;
    return std::ranges::any_of(mount.options.data,
                               [](const auto& entry) { return entry.second.size() > longest; });
}

/// By mount(2), for options that only a page of text can hold (the layers of an overlay).
Result<void> mount_with_page(FdView root, const MountPlan& mount, const std::string& label) {
    const Fd target = TRY(open_target(root, mount));
    TRY(check_target(mount, target, FdView()));
    TRY(mount_by_path(mount, target, label));
    // The descriptor names what is below the new mount; looked up again, it is the mount.
    const Fd mounted = TRY(sys::open_in_root(root, mount.destination, O_PATH));
    if (mount.options.set != 0 || mount.options.clear != 0)
        TRY(sys::set_mount_attributes(
            mounted, {.set = mount.options.set, .clear = mount.options.clear}, sys::Depth::single));
    return apply_tree_attributes(mount, mounted, 0);
}

Result<void> mount_bind(FdView root, MountPlan& mount, const LaunchPlan& plan) {
    if (!mount.tree && mount.link.empty()) TRY(open_bind_source(mount, plan.bundle));
    if (!mount.link.empty()) return make_link(root, mount);
    TRY(apply_id_map(mount));
    const Fd target = TRY(open_target(root, mount));
    TRY(check_target(mount, target, mount.tree));
    TRY(sys::attach_mount(mount.tree, target));
    if (mount.options.set != 0 || mount.options.clear != 0)
        TRY(sys::set_mount_attributes(mount.tree,
                                      {.set = mount.options.set, .clear = mount.options.clear},
                                      sys::Depth::single));
    return apply_tree_attributes(mount, mount.tree, default_propagation(plan));
}

/// In a user namespace that does not own the network namespace sysfs cannot be made, only shown.
Result<Fd> host_sysfs() {
    const Fd sys_directory = TRY(sys::open("/sys", O_PATH | O_DIRECTORY));
    return sys::clone_mount(sys_directory, "", sys::Depth::recursive);
}

Result<void> mount_new(FdView root, const MountPlan& mount, const std::string& label) {
    auto made = new_file_system(root, mount, label);
    const bool hosts = !made && mount.type == "sysfs" && made.error().number() == EPERM;
    if (hosts) made = host_sysfs();
    const Fd tree = TRY(std::move(made));
    if (mount.type == "mqueue") TRY(label_object(tree, label));
    const Fd target = TRY(open_target(root, mount));
    TRY(check_target(mount, target, FdView()));
    if (mount.options.copy_up) TRY(copy_tree(target, tree).context("tmpcopyup"));
    TRY(sys::attach_mount(tree, target));
    if (hosts)
        TRY(sys::set_mount_attributes(tree, {.set = mount.options.set}, sys::Depth::recursive));
    return apply_tree_attributes(mount, tree, 0);
}

}  // namespace

Result<void> check_destination(const MountPlan& mount) {
    const auto destination = clean_path(mount.destination);
    if (destination == "/proc" && mount.type != "proc" && !mount.options.bind)
        return fail(ErrorKind::invalid, "{}.destination: only proc can be mounted on /proc",
                    mount.field);
    if (!destination.starts_with("/proc/") || is_replaceable(destination)) return {};
    return fail(ErrorKind::invalid,
                "{}.destination: {} is inside /proc, which only the kernel fills", mount.field,
                destination);
}

Result<void> perform_mount(FdView root, MountPlan& mount, const LaunchPlan& plan) {
    const auto& label = plan.spec.linux_section.mount_label;
    const auto perform = [&]() -> Result<void> {
        TRY(refuse_symlink(root, mount));
        if (mount.options.bind) return mount_bind(root, mount, plan);
        if (mount.type == "cgroup" || mount.type == "cgroup2")
            return mount_cgroups(root, mount, plan);
        if (is_too_long_for_descriptors(mount)) return mount_with_page(root, mount, label);
        return mount_new(root, mount, label);
    };
    return perform().context(fmt::format("mount {} ({}) to {}", mount.source,
                                         mount.options.bind ? "bind" : mount.type,
                                         mount.destination));
}

}  // namespace corten::runtime
