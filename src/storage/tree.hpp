#pragma once
// Small operations on trees by descriptor, shared by unpacking, packing and the drivers.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/remove.hpp>
#include <sys/stat.h>

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace corten::storage {

/// A name inside the archive's root, made lexically clean: no empty, "." or ".." parts, no leading
/// slash; "" is the root itself. nullopt when ".." leads above the root (docker refuses those;
/// after a leading slash it stays at the root, as in a file system).
std::optional<std::string> clean_path(std::string_view name);
/// {"a/b", "c"} of "a/b/c"; {"", "a"} of "a".
std::pair<std::string_view, std::string_view> split_leaf(std::string_view path);

/// A whiteout of overlayfs: character device 0/0.
bool is_whiteout(const struct ::stat& info);
constexpr const char* opaque_xattr = "trusted.overlay.opaque";
Result<bool> is_opaque(FdView directory);
/// An xattr with which overlayfs marks layers. They are ours to set and not an image's, which could
/// redirect a directory.
bool is_layer_mark(std::string_view xattr);
/// fstatat(2) without following; nullopt when there is nothing.
Result<std::optional<struct ::stat>> stat_at(FdView directory, const std::string& name);
/// "/proc/self/fd/N" or "/proc/self/fd/N/leaf": for calls that take no descriptor, or none opened
/// with O_PATH. The kernel resolves the first part to exactly that object.
std::string fd_path(FdView fd, std::string_view leaf = {});
/// Where an open object lies below an open directory, now: "/a/b", "/" for the directory itself.
Result<std::string> path_in_root(FdView root, FdView object);

using sys::remove_at;

struct DirectoryItem {
    std::string name;
    unsigned char type = 0;  ///< DT_…; DT_UNKNOWN where the file system does not say
};
/// Items of an open directory (read from its start), sorted by name.
Result<std::vector<DirectoryItem>> read_directory(FdView directory);

/// Opens directories below a root for *at calls, keeping the last used ones open. Parents are
/// found by openat2(RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS); where an archive put a symlink
/// in the way, again by RESOLVE_IN_ROOT, so that it can lead around inside the root and never out.
class DirectoryCache {
public:
    explicit DirectoryCache(FdView root) : root_(root) {}

    enum class Missing { fail, create };
    /// `path` is clean; "" is the root. The view is valid until the next call. Missing directories
    /// are made with mode 0755.
    Result<FdView> open(std::string_view path, Missing missing);
    /// Whether a symlink stood in the way to the directory `path`, which has just been opened. Not
    /// seen in paths that are longer than one call takes.
    Result<bool> leads_through_symlink(const std::string& path) const;
    /// Takes a directory that was just opened.
    void add(std::string_view path, Fd fd);
    /// A directory or symlink is gone: what was found through it may be something else now.
    void clear();
    /// Called where something that is no directory stands in for a missing one: may replace it.
    std::function<Result<void>(FdView parent, const std::string& leaf)> replace;
    /// Called for each missing directory that was made.
    std::function<Result<void>()> made;

private:
    Result<Fd> open_uncached(const std::string& path) const;
    Result<Fd> walk(const std::string& path, Missing missing);
    Result<Fd> make(FdView parent, const std::string& leaf);
    struct Entry {
        std::string path;
        Fd fd;
    };
    FdView root_;
    std::list<Entry> entries_;  // the last used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
};

}  // namespace corten::storage
