#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <sys/file.h>
#include <sys/file.hpp>
#include <sys/mman.h>
#include <sys/resolve.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace corten::sys {

Result<bool> try_lock(FdView file) {
    if (::flock(file.raw(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    return fail_errno("flock");
}

Result<Fd> open(const std::string& path, int flags, mode_t mode) {
    Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
    if (!fd) return fail_errno("open {}", path);
    return fd;
}

Result<Fd> open_at(FdView directory, const std::string& path, int flags, mode_t mode) {
    Fd fd(::openat(directory.raw(), path.c_str(), flags | O_CLOEXEC, mode));
    if (!fd) return fail_errno("open {}", path);
    return fd;
}

Result<Fd> open_in_root(FdView root, const std::string& path, int flags, mode_t mode) {
    return open_resolved(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Result<Fd> reopen(FdView fd, int flags) {
    return open(fmt::format("/proc/self/fd/{}", fd.raw()), flags);
}

Result<std::size_t> read_some(FdView fd, std::span<char> buffer) {
    for (;;) {
        const ssize_t n = ::read(fd.raw(), buffer.data(), buffer.size());
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) return fail_errno("read");
    }
}

Result<std::string> read_all(FdView fd, std::size_t limit) {
    std::string content;
    char buffer[16384];
    for (;;) {
        const std::size_t n = TRY(read_some(fd, buffer));
        if (n == 0) return content;
        if (content.size() + n > limit)
            return fail(ErrorKind::invalid, "file is larger than {} bytes", limit);
        content.append(buffer, n);
    }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
    const Fd fd = TRY(open(path, O_RDONLY));
    return read_all(fd, limit).context(path);
}

Result<void> write_all(FdView fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd.raw(), bytes.data(), bytes.size());
        if (n < 0 && errno != EINTR) return fail_errno("write");
        if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> write_existing(const std::string& path, std::string_view bytes) {
    const Fd fd = TRY(open(path, O_WRONLY));
    if (::write(fd.raw(), bytes.data(), bytes.size()) < 0)
        return fail_errno("write \"{}\" to {}", bytes.substr(0, 80), path);
    return {};
}

namespace {

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> sync(FdView fd, const std::string& path) {
    if (::fsync(fd.raw()) < 0) return fail_errno("fsync {}", path);
    return {};
}

}  // namespace

Result<void> write_file_atomic(const std::string& path, std::string_view bytes, mode_t mode,
                               Durability durability) {
    const std::string temporary = fmt::format("{}.{}.tmp", path, random_hex(4));
    const Fd fd = TRY(open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    Rollback undo;
    undo.add([&] { ::unlink(temporary.c_str()); });
    TRY(write_all(fd, bytes).context(temporary));
    if (durability == Durability::survives_power) TRY(sync(fd, temporary));
    TRY(rename(temporary, path));
    undo.commit();
    if (durability == Durability::survives_power) {
        const std::string directory = parent_of(path);
        const Fd parent = TRY(open(directory, O_RDONLY | O_DIRECTORY));
        TRY(sync(parent, directory));
    }
    return {};
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    if (path.empty()) return fail(ErrorKind::invalid, "mkdir: the path is empty");
    for (auto at = path.find('/', 1);; at = path.find('/', at + 1)) {
        const std::string prefix = path.substr(0, at);
        if (::mkdir(prefix.c_str(), mode) < 0 && errno != EEXIST)
            return fail_errno("mkdir {}", prefix);
        if (at == std::string::npos) break;
    }
    struct ::stat status{};
    if (::stat(path.c_str(), &status) < 0) return fail_errno("stat {}", path);
    if (!S_ISDIR(status.st_mode))
        return fail(ErrorKind::conflict, "mkdir {}: a file of that name is in the way", path);
    return {};
}

Result<void> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno("unlink {}", path);
    return {};
}

Result<void> rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) return fail_errno("rename {} to {}", from, to);
    return {};
}

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

Result<struct ::stat> stat(const std::string& path) {
    struct ::stat status{};
    if (::stat(path.c_str(), &status) < 0) return fail_errno("stat {}", path);
    return status;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    DIR* stream = ::opendir(path.c_str());
    if (!stream) return fail_errno("open directory {}", path);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
        errno = 0;
    }
    const int number = errno;  // a directory that cannot be read to its end is not short
    ::closedir(stream);
    if (number != 0) return Error::from_errno(number, fmt::format("read directory {}", path));
    return names;
}

Result<Fd> duplicate(FdView fd) {
    Fd copy(::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno("duplicate descriptor {}", fd.raw());
    return copy;
}

Result<Fd> memory_file(const std::string& name) {
    Fd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail_errno("memfd_create {}", name);
    return fd;
}

Result<std::pair<Fd, Fd>> pipe(int flags) {
    int ends[2];
    if (::pipe2(ends, flags | O_CLOEXEC) < 0) return fail_errno("pipe");
    return std::pair{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace corten::sys
