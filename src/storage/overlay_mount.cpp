#include "overlay_mount.hpp"

#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace corten::storage {

namespace {

// Native diff (the upper directory alone says what changed) needs these off; "nofollow" also
// ignores a redirect that a hostile layer brings.
constexpr std::pair<const char*, const char*> common_options[] = {
    {"redirect_dir", "nofollow"}, {"index", "off"}, {"metacopy", "off"}};

/// What the kernel says about a failed fsconfig or fsmount, from the context's message queue.
std::string kernel_message(FdView context) {
    char text[512];
    const ssize_t n = ::read(context.raw(), text, sizeof text);
    if (n <= 2) return {};
    return fmt::format(" ({})", std::string_view(text + 2, static_cast<std::size_t>(n) - 2));
}

Result<void> set(FdView context, const char* key, const std::string& value) {
    if (::syscall(SYS_fsconfig, context.raw(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0)
        return {};
    const int number = errno;
    return Error::from_errno(
        number, fmt::format("overlay option {}={}{}", key, value, kernel_message(context)));
}

Result<void> set_options(FdView context, const OverlayPaths& paths) {
    for (const auto& [key, value] : common_options) TRY(set(context, key, value));
    if (paths.several_file_systems) TRY(set(context, "xino", "on"));
    for (const std::string& path : paths.lower) {
        auto result = set(context, "lowerdir+", path);
        if (!result && result.error().number() == EINVAL && &path == &paths.lower.front())
            return fail(ErrorKind::unsupported, "the kernel's overlay has no lowerdir+");
        TRY(std::move(result));
    }
    if (paths.upper.empty()) return {};
    TRY(set(context, "upperdir", paths.upper));
    TRY(set(context, "workdir", paths.work));
    if (paths.no_sync &&
        ::syscall(SYS_fsconfig, context.raw(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0) < 0)
        return fail_errno("overlay option volatile");
    return {};
}

Result<Fd> open_context() {
    Fd context(static_cast<int>(::syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
    if (!context) return fail_errno("open an overlay file system context");
    return context;
}

/// Before Linux 6.5 the options of overlay are only collected until the mount, which then fails
/// for what it does not know: it takes any name.
Result<bool> judges_options() {
    static std::atomic<bool> known = false;  // a kernel that does goes on doing so
    if (known) return true;
    const Fd context = TRY(open_context());
    known = !set(context, "corten_no_such_option", "1");
    return known.load();
}

}  // namespace

Result<Fd> mount_overlay_by_layer(const OverlayPaths& paths) {
    if (!TRY(judges_options()))
        return fail(ErrorKind::unsupported, "the kernel's overlay has no lowerdir+");
    const Fd context = TRY(open_context());
    TRY(set(context, "source", "overlay"));
    TRY(set_options(context, paths));
    if (::syscall(SYS_fsconfig, context.raw(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
        const int number = errno;
        return Error::from_errno(number, "create overlay" + kernel_message(context));
    }
    const unsigned attributes = paths.read_only ? MOUNT_ATTR_RDONLY : 0;
    Fd mount(static_cast<int>(::syscall(SYS_fsmount, context.raw(), FSMOUNT_CLOEXEC, attributes)));
    if (!mount) return fail_errno("mount overlay");
    return mount;
}

namespace {

/// Relative to `root` when it lies below, with what overlay's option syntax reserves escaped.
std::string option_path(const std::string& root, std::string_view path) {
    if (path.starts_with(root + "/")) path.remove_prefix(root.size() + 1);
    std::string escaped;
    for (const char c : path) {
        if (c == ':' || c == ',' || c == '\\') escaped += '\\';
        escaped += c;
    }
    return escaped;
}

std::string classic_options(const std::string& root, const OverlayPaths& paths) {
    std::string text = "lowerdir=";
    for (const std::string& path : paths.lower) {
        if (!text.ends_with('=')) text += ':';
        text += option_path(root, path);
    }
    if (!paths.upper.empty())
        text += fmt::format(",upperdir={},workdir={}", option_path(root, paths.upper),
                            option_path(root, paths.work));
    for (const auto& [key, value] : common_options) text += fmt::format(",{}={}", key, value);
    return text;
}

/// Runs in a thread of its own, in a mount namespace of its own.
Result<Fd> mount_in_private_namespace(const std::string& root, const OverlayPaths& paths) {
    if (::unshare(CLONE_FS | CLONE_NEWNS) < 0) return fail_errno("unshare the mount namespace");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        return fail_errno("make mounts private");
    if (::chdir(root.c_str()) < 0) return fail_errno("enter {}", root);
    const std::string options = classic_options(root, paths);
    const unsigned long flags = paths.read_only ? MS_RDONLY : 0;
    // The topmost layer is a directory that is surely there; nobody else sees what covers it.
    const std::string target = paths.lower.front();
    if (::mount("overlay", target.c_str(), "overlay", flags, options.c_str()) < 0)
        return fail_errno("mount overlay ({} bytes of options)", options.size());
    Fd tree(static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, target.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!tree) return fail_errno("detach the overlay mount");
    return tree;
}

}  // namespace

Result<Fd> mount_overlay_classic(const std::string& root, const OverlayPaths& paths) {
    std::optional<Result<Fd>> result;
    std::thread([&] { result.emplace(mount_in_private_namespace(root, paths)); }).join();
    return std::move(*result);
}

}  // namespace corten::storage
