#include "rootfs.hpp"

#include <sys/file.hpp>
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <memory>

namespace corten::runtime {
namespace {

struct CloseDirectory {
    void operator()(DIR* stream) const { ::closedir(stream); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

struct Entry {
    FdView from;
    FdView to;
    const char* name;
    struct ::stat info;
};

Result<void> copy_owner(const Entry& entry) {
    if (::fchownat(entry.to.raw(), entry.name, entry.info.st_uid, entry.info.st_gid,
                   AT_SYMLINK_NOFOLLOW) < 0)
        return fail_errno("chown {}", entry.name);
    // Links have no mode of their own.
    if (!S_ISLNK(entry.info.st_mode) &&
        ::fchmodat(entry.to.raw(), entry.name, entry.info.st_mode & 07777, 0) < 0)
        return fail_errno("chmod {}", entry.name);
    return {};
}

Result<void> copy_link(const Entry& entry) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(entry.from.raw(), entry.name, target, sizeof target - 1);
    if (n < 0) return fail_errno("read link {}", entry.name);
    target[n] = '\0';
    if (::symlinkat(target, entry.to.raw(), entry.name) < 0)
        return fail_errno("link {}", entry.name);
    return {};
}

Result<void> copy_content(const Entry& entry) {
    const Fd in = TRY(sys::open_at(entry.from, entry.name, O_RDONLY | O_NOFOLLOW));
    const Fd out =
        TRY(sys::open_at(entry.to, entry.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    char buffer[65536];
    for (;;) {
        const auto n = TRY(sys::read_some(in, buffer));
        if (n == 0) return {};
        TRY(sys::write_all(out, {buffer, n}));
    }
}

Result<void> copy_entry(const Entry& entry) {
    const mode_t mode = entry.info.st_mode;
    if (S_ISDIR(mode)) {
        if (::mkdirat(entry.to.raw(), entry.name, 0700) < 0)
            return fail_errno("mkdir {}", entry.name);
        const Fd from =
            TRY(sys::open_at(entry.from, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        const Fd to = TRY(sys::open_at(entry.to, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        TRY(copy_tree(from, to));
    } else if (S_ISLNK(mode)) {
        TRY(copy_link(entry));
    } else if (S_ISREG(mode)) {
        TRY(copy_content(entry));
    } else if (::mknodat(entry.to.raw(), entry.name, mode, entry.info.st_rdev) < 0) {
        return fail_errno("mknod {}", entry.name);
    }
    return copy_owner(entry);
}

/// Null at the end.
Result<const dirent*> next_entry(DIR* stream) {
    errno = 0;
    const dirent* item = ::readdir(stream);
    if (item == nullptr && errno != 0) return fail_errno("read directory");
    return item;
}

}  // namespace

Result<void> copy_tree(FdView from, FdView to) {
    const Fd reopened_to = TRY(sys::open_at(to, ".", O_RDONLY | O_DIRECTORY));
    Fd readable = TRY(sys::open_at(from, ".", O_RDONLY | O_DIRECTORY));
    struct ::stat info{};
    if (::fstat(readable.raw(), &info) < 0) return fail_errno("stat");
    const Directory stream(::fdopendir(readable.raw()));
    if (!stream) return fail_errno("read directory");
    const FdView source(readable.release());
    while (const dirent* item = TRY(next_entry(stream.get()))) {
        const std::string_view name = item->d_name;
        if (name == "." || name == "..") continue;
        Entry entry{source, reopened_to, item->d_name, {}};
        if (::fstatat(source.raw(), item->d_name, &entry.info, AT_SYMLINK_NOFOLLOW) < 0)
            return fail_errno("stat {}", name);
        TRY(copy_entry(entry));
    }
    if (::fchown(reopened_to.raw(), info.st_uid, info.st_gid) < 0) return fail_errno("chown");
    if (::fchmod(reopened_to.raw(), info.st_mode & 07777) < 0) return fail_errno("chmod");
    return {};
}

}  // namespace corten::runtime
