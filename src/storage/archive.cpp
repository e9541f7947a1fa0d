#include "pack.hpp"
#include "tree.hpp"
#include "unpack.hpp"

#include <storage/archive.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

namespace corten::storage {

namespace {

/// "dir/", "dir/." and "/" mean what a symlink leads to.
bool wants_directory(std::string_view path) {
    return path.empty() || path.ends_with('/') || path == "." || path.ends_with("/.");
}

std::string last_part(std::string_view path) {
    while (path.ends_with('/')) path.remove_suffix(1);
    return std::string(split_leaf(path).second);
}

std::string or_root(const std::string& path) {
    return path.empty() ? "/" : path;
}

Result<Fd> open_object(FdView root, const std::string& path) {
    const int how = wants_directory(path) ? O_DIRECTORY : O_NOFOLLOW;
    auto fd = sys::open_in_root(root, or_root(path), O_PATH | how);
    if (!fd && fd.error().number() == ENOENT)
        return fail(ErrorKind::not_found, "Could not find the file {}", path);
    return fd;
}

std::string lexical_target(std::string_view path, const std::string& link) {
    const std::string joined =
        link.starts_with('/') ? link : fmt::format("/{}/{}", split_leaf(path).first, link);
    return "/" + clean_path(joined).value_or("");
}

Result<std::string> link_target(FdView root, const std::string& path, FdView link) {
    const auto target = sys::open_in_root(root, path, O_PATH);
    if (target) return path_in_root(root, *target);
    // It leads nowhere: what it says, as an absolute path.
    std::string text(4096, '\0');
    const ssize_t n = ::readlinkat(link.raw(), "", text.data(), text.size());
    if (n < 0) return fail_errno("read symlink {}", path);
    text.resize(static_cast<std::size_t>(n));
    return lexical_target(path, text);
}

}  // namespace

Result<UnpackResult> untar_into(FdView root, const std::string& path, Source& tar,
                                const UntarOptions& options) {
    auto directory = sys::open_in_root(root, or_root(path), O_PATH | O_DIRECTORY);
    if (!directory && directory.error().number() == ENOTDIR)
        return fail(ErrorKind::invalid, "extraction point is not a directory");
    if (!directory && directory.error().number() == ENOENT)
        return fail(ErrorKind::not_found, "Could not find the file {}", path);
    const Fd target = TRY(std::move(directory));
    TarReader reader(tar);
    UnpackPolicy policy;
    policy.no_overwrite_dir_non_dir = options.no_overwrite_dir_non_dir;
    policy.owner = options.owner;
    policy.limits = options.limits;
    return unpack_tree(target, reader, policy);
}

Result<void> tar_from(FdView root, const std::string& path, Sink& out, const TarOptions& options) {
    const Fd object = TRY(open_object(root, path));
    struct ::stat info{};
    if (::fstat(object.raw(), &info) < 0) return fail_errno("stat {}", path);
    TarWriter writer(out);
    if (options.nanoseconds) writer.keep_nanoseconds();
    const std::string name = last_part(path);
    if (S_ISDIR(info.st_mode))
        TRY(pack_tree({object, name, true, options}, writer));
    else
        TRY(pack_object(object, name, writer));
    return writer.finish();
}

Result<void> tar_tree(FdView root, Sink& out, const TarOptions& options) {
    TarWriter writer(out);
    if (options.nanoseconds) writer.keep_nanoseconds();
    TRY(pack_tree({root, "", false, options}, writer));
    return writer.finish();
}

Result<PathStat> stat_in(FdView root, const std::string& path) {
    const Fd object = TRY(open_object(root, path));
    struct ::stat info{};
    if (::fstat(object.raw(), &info) < 0) return fail_errno("stat {}", path);
    PathStat result;
    result.name = last_part(path);
    if (result.name.empty()) result.name = "/";
    result.size = static_cast<std::uint64_t>(info.st_size);
    result.mode = info.st_mode;
    result.mtime = info.st_mtim;
    if (S_ISLNK(info.st_mode)) result.link_target = TRY(link_target(root, path, object));
    return result;
}

// Bits of Go's io/fs.FileMode.
std::uint32_t go_file_mode(mode_t mode) {
    std::uint32_t result = mode & 0777;
    if (S_ISDIR(mode)) result |= 1u << 31;
    if (S_ISLNK(mode)) result |= 1u << 27;
    if (S_ISBLK(mode)) result |= 1u << 26;
    if (S_ISFIFO(mode)) result |= 1u << 25;
    if (S_ISSOCK(mode)) result |= 1u << 24;
    if (mode & S_ISUID) result |= 1u << 23;
    if (mode & S_ISGID) result |= 1u << 22;
    if (S_ISCHR(mode)) result |= 1u << 26 | 1u << 21;
    if (mode & S_ISVTX) result |= 1u << 20;
    return result;
}

}  // namespace corten::storage
