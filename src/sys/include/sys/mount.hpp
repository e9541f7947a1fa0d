#pragma once
// Mounts by descriptor: fsopen, fsmount, open_tree, move_mount, mount_setattr (Linux 5.2 to 5.12).
// A detached mount is in nobody's table and goes away with its last descriptor.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corten::sys {

/// A file system being configured. Errors carry what the kernel wrote to its log.
class FileSystemContext {
public:
    static Result<FileSystemContext> open(const std::string& type);
    /// "size", "64m". Values are limited to 255 bytes by the kernel.
    Result<void> set(const std::string& key, const std::string& value) const;
    Result<void> set_flag(const std::string& key) const;
    Result<void> set_fd(const std::string& key, FdView value) const;
    /// Creates the superblock and a detached mount of it. `attributes` are MOUNT_ATTR_*.
    Result<Fd> mount(unsigned attributes) const;
    FdView fd() const { return fd_; }

private:
    explicit FileSystemContext(Fd fd) : fd_(std::move(fd)) {}
    Error error(std::string_view what) const;
    Fd fd_;
};

enum class Depth { single, recursive };

/// A detached copy of the mount at `path` (and, recursively, of those below it): a bind mount that
/// is not yet anywhere. An empty path means the directory descriptor itself.
Result<Fd> clone_mount(FdView directory, const std::string& path, Depth depth);

/// Puts a detached mount (or moves an attached one) onto the object that `target` refers to.
Result<void> attach_mount(FdView mount, FdView target);

struct MountAttributes {
    std::uint64_t set = 0;  ///< MOUNT_ATTR_*
    std::uint64_t clear = 0;
    std::uint64_t propagation = 0;  ///< MS_SHARED, MS_PRIVATE, ...; 0 leaves it
    FdView user_namespace;          ///< with MOUNT_ATTR_IDMAP
};
Result<void> set_mount_attributes(FdView mount, const MountAttributes& attributes, Depth depth);

/// mount(2), for what has no descriptor form. `target` may be a /proc/self/fd path.
Result<void> mount_at(const std::string& source, const std::string& target, const std::string& type,
                      unsigned long flags, const std::string& data = "");
/// Changes the propagation of the calling namespace's whole tree, or of one mount.
Result<void> set_propagation(const std::string& path, unsigned long flags);
/// MNT_DETACH unless told otherwise.
Result<void> unmount_at(const std::string& path, int flags);
/// Makes the mount that `root` refers to the root of this mount namespace; the old one ends below
/// it and is detached.
Result<void> pivot_root_to(FdView root);

}  // namespace corten::sys
