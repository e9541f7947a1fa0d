#pragma once
// Files by descriptor. Every descriptor made here is close-on-exec. Paths given relative to a
// directory descriptor are resolved by the kernel from there.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten::sys {

/// flock(2), exclusive and without waiting: false when another open file description holds it. The
/// lock lasts as long as the description, also in a child that inherited it.
Result<bool> try_lock(FdView file);

/// open(2) with O_CLOEXEC added.
Result<Fd> open(const std::string& path, int flags, mode_t mode = 0);
Result<Fd> open_at(FdView directory, const std::string& path, int flags, mode_t mode = 0);

/// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `path` is resolved as if `root` were
/// the root directory, so neither "..", an absolute path nor a symlink leads out of it.
Result<Fd> open_in_root(FdView root, const std::string& path, int flags, mode_t mode = 0);

/// Opens the object behind an O_PATH descriptor anew, with other flags.
Result<Fd> reopen(FdView fd, int flags);

/// The whole content. `limit` bounds what is read, in bytes; more is an error of kind invalid.
Result<std::string> read_file(const std::string& path, std::size_t limit = 64 << 20);
Result<std::string> read_all(FdView fd, std::size_t limit = 64 << 20);
/// One read(2), retried on EINTR. 0 means end of file.
Result<std::size_t> read_some(FdView fd, std::span<char> buffer);
/// Writes all of it, retried on EINTR and short writes.
Result<void> write_all(FdView fd, std::string_view bytes);

/// Writes to an existing file such as a cgroup or procfs file, in one write(2).
Result<void> write_existing(const std::string& path, std::string_view bytes);

enum class Durability {
    survives_process,  ///< a crash of the process loses nothing; a power cut may
    survives_power,    ///< fsync of the file and its directory before returning
};
/// Replaces `path` in one step: readers see the old or the new content, whole.
Result<void> write_file_atomic(const std::string& path, std::string_view bytes, mode_t mode = 0644,
                               Durability durability = Durability::survives_process);

/// mkdir -p: an existing directory is fine. `mode` is for the directories that are made.
Result<void> make_directories(const std::string& path, mode_t mode = 0755);
/// rm -rf without following symlinks and without crossing into other file systems' mounts.
/// A path that does not exist is fine.
Result<void> remove_tree(const std::string& path);
Result<void> remove_file(const std::string& path);
Result<void> rename(const std::string& from, const std::string& to);

bool exists(const std::string& path);
Result<struct ::stat> stat(const std::string& path);
/// Names in a directory, without "." and "..", in no order.
Result<std::vector<std::string>> list_directory(const std::string& path);

/// A second, close-on-exec descriptor of the same open file.
Result<Fd> duplicate(FdView fd);
Result<Fd> memory_file(const std::string& name);
/// Both ends close-on-exec: {read end, write end}.
Result<std::pair<Fd, Fd>> pipe(int flags = 0);

}  // namespace corten::sys
