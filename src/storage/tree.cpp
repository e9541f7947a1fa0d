#include "tree.hpp"

#include <sys/file.hpp>
#include <sys/resolve.hpp>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <memory>

namespace corten::storage {

namespace {

constexpr std::size_t open_directories = 64;

}  // namespace

std::optional<std::string> clean_path(std::string_view name) {
    const bool absolute = name.starts_with('/');
    std::string clean;
    clean.reserve(name.size());
    while (!name.empty()) {
        const auto slash = name.find('/');
        const std::string_view part = name.substr(0, slash);
        name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            if (clean.empty() && !absolute) return std::nullopt;
            const auto last = clean.rfind('/');
            clean.resize(last == std::string::npos ? 0 : last);
            continue;
        }
        if (!clean.empty()) clean += '/';
        clean += part;
    }
    return clean;
}

std::pair<std::string_view, std::string_view> split_leaf(std::string_view path) {
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return {{}, path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

bool is_whiteout(const struct ::stat& info) {
    return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

Result<bool> is_opaque(FdView directory) {
    char value = 0;
    const ssize_t n = ::getxattr(fd_path(directory).c_str(), opaque_xattr, &value, 1);
    if (n >= 0) return n == 1 && value == 'y';
    if (errno == ENODATA || errno == ENOTSUP) return false;
    if (errno == ERANGE) return false;
    return fail_errno("read {}", opaque_xattr);
}

bool is_layer_mark(std::string_view xattr) {
    return xattr.starts_with("trusted.overlay.");
}

Result<std::optional<struct ::stat>> stat_at(FdView directory, const std::string& name) {
    struct ::stat info{};
    if (::fstatat(directory.raw(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0)
        return std::optional(info);
    if (errno == ENOENT) return std::optional<struct ::stat>();
    return fail_errno("stat {}", name);
}

std::string fd_path(FdView fd, std::string_view leaf) {
    if (leaf.empty()) return fmt::format("/proc/self/fd/{}", fd.raw());
    return fmt::format("/proc/self/fd/{}/{}", fd.raw(), leaf);
}

namespace {

Result<std::string> path_of(FdView fd) {
    std::string path(8192, '\0');
    const ssize_t n = ::readlink(fd_path(fd).c_str(), path.data(), path.size());
    if (n < 0) return fail_errno("read the path of a descriptor");
    path.resize(static_cast<std::size_t>(n));
    return path;
}

}  // namespace

Result<std::string> path_in_root(FdView root, FdView fd) {
    std::string base = TRY(path_of(root));
    const std::string path = TRY(path_of(fd));
    if (base == "/") base.clear();
    if (path == base) return std::string("/");
    if (!path.starts_with(base + "/"))
        return fail(ErrorKind::not_found, "{} was moved out of its root", path);
    return path.substr(base.size());
}

namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Result<Directory> list(FdView fd) {
    Fd copy = TRY(sys::open_at(fd, ".", O_RDONLY | O_DIRECTORY));
    Directory directory(::fdopendir(copy.raw()));
    if (!directory) return fail_errno("read directory");
    (void)copy.release();
    return directory;
}

bool is_dot(std::string_view name) {
    return name == "." || name == "..";
}

}  // namespace

Result<std::vector<DirectoryItem>> read_directory(FdView fd) {
    const Directory directory = TRY(list(fd));
    std::vector<DirectoryItem> items;
    for (;;) {
        errno = 0;
        const dirent* item = ::readdir(directory.get());
        if (!item && errno != 0) return fail_errno("read directory");
        if (!item) break;
        if (!is_dot(item->d_name)) items.push_back({item->d_name, item->d_type});
    }
    std::ranges::sort(items, {}, &DirectoryItem::name);
    return items;
}

namespace {

Result<Fd> open_directory(FdView root, const std::string& path, std::uint64_t resolve) {
    return sys::open_resolved(root, path, O_PATH | O_DIRECTORY, 0, resolve);
}

constexpr std::uint64_t in_root = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
constexpr std::uint64_t strict = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

}  // namespace

Result<Fd> DirectoryCache::open_uncached(const std::string& path) const {
    auto found = open_directory(root_, path, strict);
    if (found || found.error().number() != ELOOP) return found;
    return open_directory(root_, path, in_root);
}

Result<bool> DirectoryCache::leads_through_symlink(const std::string& path) const {
    if (path.empty() || path.size() >= PATH_MAX) return false;
    auto found = open_directory(root_, path, strict);
    if (!found && found.error().number() != ELOOP) return std::move(found).error();
    return !found.has_value();
}

Result<Fd> DirectoryCache::make(FdView parent, const std::string& leaf) {
    if (::mkdirat(parent.raw(), leaf.c_str(), 0755) < 0) {
        if (errno != EEXIST) return fail_errno("make directory {}", leaf);
        if (replace) TRY(replace(parent, leaf));
        return open_directory(parent, leaf, strict);
    }
    if (made) TRY(made());
    Fd fd = TRY(open_directory(parent, leaf, strict));
    // The process's umask is not the archive's.
    if (::chmod(fd_path(fd).c_str(), 0755) < 0) return fail_errno("change mode of {}", leaf);
    return fd;
}

/// Part by part, for paths that are longer than one call takes or partly missing. Iterative: the
/// depth is an archive's to choose.
Result<Fd> DirectoryCache::walk(const std::string& path, Missing missing) {
    Fd current;
    for (std::size_t start = 0; start < path.size();) {
        const std::size_t end = std::min(path.find('/', start), path.size());
        const std::string leaf = path.substr(start, end - start);
        const FdView parent = current ? FdView(current) : root_;
        auto next = open_directory(parent, leaf, strict);
        const int number = next ? 0 : next.error().number();
        if (number == ELOOP)
            next = open_directory(root_, path.substr(0, end), in_root);
        else if ((number == ENOENT || number == ENOTDIR) && missing == Missing::create)
            next = make(parent, leaf);
        current = TRY(std::move(next));
        start = end + 1;
    }
    return current;
}

Result<FdView> DirectoryCache::open(std::string_view path, Missing missing) {
    if (path.empty()) return root_;
    if (const auto found = index_.find(path); found != index_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        return FdView(found->second->fd);
    }
    const std::string key(path);
    auto fd = open_uncached(key);
    const int number = fd ? 0 : fd.error().number();
    const bool absent = number == ENOENT || number == ENOTDIR;
    if ((number == ENAMETOOLONG && key.size() >= PATH_MAX) ||
        (absent && missing == Missing::create))
        fd = walk(key, missing);
    add(key, TRY(std::move(fd)));
    return FdView(entries_.front().fd);
}

void DirectoryCache::add(std::string_view path, Fd fd) {
    if (path.empty()) return;
    if (const auto old = index_.find(path); old != index_.end()) {
        const auto entry = old->second;
        index_.erase(old);
        entries_.erase(entry);
    }
    entries_.push_front({std::string(path), std::move(fd)});
    index_.emplace(entries_.front().path, entries_.begin());
    if (entries_.size() <= open_directories) return;
    index_.erase(entries_.back().path);
    entries_.pop_back();
}

void DirectoryCache::clear() {
    index_.clear();
    entries_.clear();
}

}  // namespace corten::storage
