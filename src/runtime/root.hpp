#pragma once
// The container's root directory as a descriptor, and paths below it. No path is ever given to the
// kernel from the host's point of view: each is resolved by openat2 as if `root` were "/".
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <string>

namespace corten::runtime {

enum class Target { directory, file };

/// O_PATH descriptor of what is at `path` in the root, made (with its parents) when it is missing.
/// Symlinks are followed within the root, also those that point at nothing yet.
Result<Fd> open_or_make(FdView root, const std::string& path, Target kind);

/// O_PATH descriptor, or an invalid one when there is nothing at `path`.
Result<Fd> open_if_there(FdView root, const std::string& path);

struct Split {
    std::string directory;
    std::string name;
};
/// "/dev/pts/ptmx" -> {"/dev/pts", "ptmx"}; repeated and trailing slashes do not count.
Split split_path(const std::string& path);

/// "." and ".." taken out by text, "/" in front: "/a/./b/../c" -> "/a/c".
std::string clean_path(const std::string& path);

Result<bool> is_directory(FdView fd);
/// Whether an object is of a file system of this kind (a magic of <linux/magic.h>).
Result<bool> is_on(FdView fd, long magic);
/// The root directory of procfs or sysfs, whose inode is the first.
Result<bool> is_root_of(FdView fd, long magic);

}  // namespace corten::runtime
