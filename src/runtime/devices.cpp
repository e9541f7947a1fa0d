// /dev: device nodes, links, the terminal. In the new process, before pivot_root.
#include "root.hpp"
#include "rootfs.hpp"

#include <base/text.hpp>
#include <runtime/restore_root.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace corten::runtime {
namespace {

struct Node {
    std::string path;
    mode_t type = S_IFCHR;
    dev_t number = 0;
    mode_t mode = 0666;
    uid_t uid = 0;
    gid_t gid = 0;
};

std::vector<Node> default_nodes() {
    return {{"/dev/null", S_IFCHR, makedev(1, 3)},   {"/dev/zero", S_IFCHR, makedev(1, 5)},
            {"/dev/full", S_IFCHR, makedev(1, 7)},   {"/dev/tty", S_IFCHR, makedev(5, 0)},
            {"/dev/random", S_IFCHR, makedev(1, 8)}, {"/dev/urandom", S_IFCHR, makedev(1, 9)}};
}

Node node_of(const oci::LinuxDevice& device) {
    Node node;
    node.path = device.path;
    node.type = device.type == "b" ? S_IFBLK : device.type == "p" ? S_IFIFO : S_IFCHR;
    node.number = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    node.mode = device.file_mode.value_or(0666) & 07777;
    node.uid = device.uid.value_or(0);
    node.gid = device.gid.value_or(0);
    return node;
}

/// mknod is refused in a user namespace: the host's node of the same path is shown instead.
Result<void> bind_host_node(FdView directory, const std::string& name, const Node& node) {
    const Fd host = TRY(sys::open(node.path, O_PATH | O_NOFOLLOW));
    struct ::stat info{};
    if (::fstat(host.raw(), &info) < 0) return fail_errno("{}", node.path);
    if ((info.st_mode & S_IFMT) != node.type || info.st_rdev != node.number)
        return fail(ErrorKind::invalid, "linux.devices: {} is another device on the host",
                    node.path);
    const Fd file(
        ::openat(directory.raw(), name.c_str(), O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file) return fail_errno("create {}", node.path);
    const Fd tree = TRY(sys::clone_mount(host, "", sys::Depth::single));
    TRY(sys::attach_mount(tree, file));
    return sys::set_mount_attributes(tree, {.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC},
                                     sys::Depth::single);
}

bool is_same_node(FdView directory, const std::string& name, const Node& node) {
    struct ::stat info{};
    return ::fstatat(directory.raw(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           (info.st_mode & S_IFMT) == node.type && info.st_rdev == node.number;
}

Result<void> set_owner(FdView directory, const std::string& name, const Node& node) {
    // Through a descriptor that is this node and not what a link of that name leads to.
    const Fd made = TRY(sys::open_at(directory, name, O_PATH | O_NOFOLLOW));
    if (::fchownat(made.raw(), "", node.uid, node.gid, AT_EMPTY_PATH) < 0)
        return fail_errno("chown {}", node.path);
    return {};
}

Result<void> make_node(FdView directory, const std::string& name, const Node& node) {
    if (::mknodat(directory.raw(), name.c_str(), node.type | node.mode, node.number) < 0) {
        if (errno == EPERM || errno == ENODEV) return bind_host_node(directory, name, node);
        if (errno == EEXIST && is_same_node(directory, name, node)) return {};
        return fail_errno("mknod {}", node.path);
    }
    if (node.uid == 0 && node.gid == 0) return {};
    return set_owner(directory, name, node);
}

struct Link {
    const char* name;
    const char* target;
};
constexpr std::array<Link, 5> links{{{"fd", "/proc/self/fd"},
                                     {"stdin", "/proc/self/fd/0"},
                                     {"stdout", "/proc/self/fd/1"},
                                     {"stderr", "/proc/self/fd/2"},
                                     {"core", "/proc/kcore"}}};

bool leads_to(FdView directory, const char* name, std::string_view target) {
    char there[PATH_MAX];
    const ssize_t n = ::readlinkat(directory.raw(), name, there, sizeof there);
    return n >= 0 && std::string_view(there, static_cast<std::size_t>(n)) == target;
}

Result<void> make_links(FdView dev, FdView root) {
    for (const auto& link : links) {
        if (std::string_view(link.name) == "core" && !TRY(open_if_there(root, link.target)))
            continue;
        if (::symlinkat(link.target, dev.raw(), link.name) < 0 && errno != EEXIST)
            return fail_errno("link /dev/{}", link.name);
    }
    // With a private devpts the multiplexer is inside of it; an image's own node would be the
    // host's.
    if (!TRY(open_if_there(dev, "pts"))) return {};
    if (leads_to(dev, "ptmx", "pts/ptmx")) return {};
    if (::unlinkat(dev.raw(), "ptmx", 0) < 0 && errno != ENOENT)
        return fail_errno("remove /dev/ptmx");
    if (::symlinkat("pts/ptmx", dev.raw(), "ptmx") < 0) return fail_errno("link /dev/ptmx");
    return {};
}

/// /dev is ours when the configuration mounts something there that is not the host's.
bool sets_up_dev(const LaunchPlan& plan) {
    return std::ranges::none_of(plan.mounts, [](const MountPlan& mount) {
        return mount.options.bind && clean_path(mount.destination) == "/dev";
    });
}

Result<void> check_devpts(FdView master) {
    struct statfs info{};
    if (::fstatfs(master.raw(), &info) < 0) return fail_errno("/dev/pts/ptmx");
    struct ::stat node{};
    if (::fstat(master.raw(), &node) < 0) return fail_errno("/dev/pts/ptmx");
    if (info.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(node.st_mode) ||
        node.st_rdev != makedev(5, 2))
        return fail(ErrorKind::forbidden,
                    "/dev/pts/ptmx of the container is not a terminal multiplexer");
    return {};
}

}  // namespace

Result<void> make_devices(FdView root, const LaunchPlan& plan) {
    if (!sets_up_dev(plan)) return {};
    const mode_t old_mask = ::umask(0);
    const auto make_all = [&]() -> Result<void> {
        const Fd dev = TRY(open_or_make(root, "/dev", Target::directory));
        for (const auto& node : default_nodes()) TRY(make_node(dev, node.path.substr(5), node));
        for (const auto& device : plan.spec.linux_section.devices) {
            const auto node = node_of(device);
            const auto at = split_path(clean_path(node.path));
            const Fd parent = TRY(open_or_make(root, at.directory, Target::directory));
            TRY(make_node(parent, at.name, node));
        }
        return make_links(dev, root);
    };
    auto result = make_all();
    ::umask(old_mask);
    return result;
}

std::vector<std::string> device_paths(const oci::Spec& spec) {
    std::vector<std::string> paths;
    for (const auto& node : default_nodes()) paths.push_back(node.path);
    for (const auto& device : spec.linux_section.devices) paths.push_back(device.path);
    return paths;
}

namespace {

Result<void> leave_line_ends(FdView terminal) {
    termios settings{};
    if (::tcgetattr(terminal.raw(), &settings) < 0)
        return fail_errno("read the terminal's settings");
    settings.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
    if (::tcsetattr(terminal.raw(), TCSANOW, &settings) < 0)
        return fail_errno("change the terminal's settings");
    return {};
}

}  // namespace

Result<Console> open_console(FdView root, const oci::Process& process, bool keep_line_ends) {
    Console console;
    console.master = TRY(sys::open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY)
                             .context("process.terminal needs a devpts at /dev/pts"));
    TRY(check_devpts(console.master));
    int unlock = 0;
    if (::ioctl(console.master.raw(), TIOCSPTLCK, &unlock) < 0)
        return fail_errno("unlock the terminal");
    // By the master's own descriptor: no path that someone could exchange (CVE-2025-52565).
    console.slave.reset(::ioctl(console.master.raw(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!console.slave) return fail_errno("open the terminal");
    if (process.console_size && process.console_size->height != 0) {
        winsize size{};
        size.ws_row = static_cast<unsigned short>(process.console_size->height);
        size.ws_col = static_cast<unsigned short>(process.console_size->width);
        if (::ioctl(console.master.raw(), TIOCSWINSZ, &size) < 0)
            return fail_errno("process.consoleSize");
    }
    if (keep_line_ends) TRY(leave_line_ends(console.slave));
    if (process.user.uid != 0 &&
        ::fchown(console.slave.raw(), process.user.uid, static_cast<gid_t>(-1)) < 0)
        return fail_errno("give the terminal to its user");
    return console;
}

Result<void> bind_console(FdView root, const Console& console) {
    const Fd target = TRY(open_or_make(root, "/dev/console", Target::file));
    const Fd tree = TRY(sys::clone_mount(console.slave, "", sys::Depth::single)
                            .context("bind the terminal to /dev/console"));
    return sys::attach_mount(tree, target).context("bind the terminal to /dev/console");
}

}  // namespace corten::runtime
