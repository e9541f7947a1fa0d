#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/syscall.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace corten::sys {

Result<FileSystemContext> FileSystemContext::open(const std::string& type) {
    Fd fd(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
    if (!fd && errno == ENODEV)
        return fail(ErrorKind::unsupported, "this kernel has no file system \"{}\"", type)
            .with_number(ENODEV);
    if (!fd) return fail_errno("fsopen {}", type);
    return FileSystemContext(std::move(fd));
}

Error FileSystemContext::error(std::string_view what) const {
    const int number = errno;
    // The kernel's log of this context: "e tmpfs: Bad value for 'size'".
    char line[256];
    const ssize_t n = ::read(fd_.raw(), line, sizeof line);
    if (n <= 2) return Error::from_errno(number, what);
    std::string_view text(line + 2, static_cast<std::size_t>(n) - 2);
    while (text.ends_with('\n')) text.remove_suffix(1);
    return Error::from_errno(number, fmt::format("{}: {}", what, text));
}

Result<void> FileSystemContext::set(const std::string& key, const std::string& value) const {
    if (::fsconfig(fd_.raw(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) < 0)
        return error(fmt::format("mount option {}={}", key, value));
    return {};
}

Result<void> FileSystemContext::set_flag(const std::string& key) const {
    if (::fsconfig(fd_.raw(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0) < 0)
        return error(fmt::format("mount option {}", key));
    return {};
}

Result<void> FileSystemContext::set_fd(const std::string& key, FdView value) const {
    if (::fsconfig(fd_.raw(), FSCONFIG_SET_FD, key.c_str(), nullptr, value.raw()) < 0)
        return error(fmt::format("mount option {} (by descriptor)", key));
    return {};
}

Result<Fd> FileSystemContext::mount(unsigned attributes) const {
    if (::fsconfig(fd_.raw(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        return error("create file system");
    Fd mount(::fsmount(fd_.raw(), FSMOUNT_CLOEXEC, attributes));
    if (!mount) return error("fsmount");
    return mount;
}

Result<Fd> clone_mount(FdView directory, const std::string& path, Depth depth) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    if (path.empty()) flags |= AT_EMPTY_PATH;
    if (depth == Depth::recursive) flags |= AT_RECURSIVE;
    Fd tree(::open_tree(directory.raw(), path.c_str(), flags));
    if (!tree) return fail_errno("open_tree {}", path);
    return tree;
}

Result<void> attach_mount(FdView mount, FdView target) {
    constexpr unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    if (::move_mount(mount.raw(), "", target.raw(), "", flags) < 0) return fail_errno("move_mount");
    return {};
}

Result<void> mount_at(const std::string& source, const std::string& target, const std::string& type,
                      unsigned long flags, const std::string& data) {
    if (::mount(source.c_str(), target.c_str(), type.c_str(), flags,
                data.empty() ? nullptr : data.c_str()) < 0)
        return fail_errno("mount {} ({})", source, type);
    return {};
}

Result<void> set_propagation(const std::string& path, unsigned long flags) {
    if (::mount(nullptr, path.c_str(), nullptr, flags, nullptr) < 0)
        return fail_errno("set the propagation of {}", path);
    return {};
}

Result<void> unmount_at(const std::string& path, int flags) {
    if (::umount2(path.c_str(), flags) < 0) return fail_errno("unmount {}", path);
    return {};
}

Result<void> pivot_root_to(FdView root) {
    // With both arguments "." the old root is stacked on the new one, so no directory is needed.
    if (::fchdir(root.raw()) < 0) return fail_errno("enter the new root");
    if (::syscall(SYS_pivot_root, ".", ".") < 0) return fail_errno("pivot_root");
    if (::umount2(".", MNT_DETACH) < 0) return fail_errno("unmount the old root");
    if (::chdir("/") < 0) return fail_errno("enter the new root");
    return {};
}

}  // namespace corten::sys
