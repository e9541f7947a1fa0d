#pragma once
// Trees to and from tar, by descriptor only. A path is always resolved below a root descriptor
// (RESOLVE_IN_ROOT), so nothing outside can be read or written, whatever names and symlinks say and
// however a running container changes its tree meanwhile.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/tar.hpp>
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace corten::storage {

struct Owner {
    uid_t uid = 0;
    gid_t gid = 0;
};

/// 0 means no limit.
struct UnpackLimits {
    std::uint64_t bytes = 0;    ///< of file content, holes not counted
    std::uint64_t entries = 0;  ///< archive entries
};

/// What a layer may have where nothing else was said: more than any that is meant well.
constexpr UnpackLimits usual_layer_limits{.bytes = std::uint64_t{64} << 30, .entries = 10'000'000};

struct UnpackResult {
    std::uint64_t entries = 0;
    std::uint64_t bytes =
        0;  ///< sum of the sizes of regular files, as docker counts a layer's size
};

struct UntarOptions {
    /// docker cp's rule: a directory is not replaced by something else, nor the reverse.
    bool no_overwrite_dir_non_dir = false;
    /// Everything becomes this owner's; otherwise what the archive says.
    std::optional<Owner> owner;
    UnpackLimits limits;
};

/// Unpacks an uncompressed tar stream into the directory `path` below `root`. `path` is followed
/// through symlinks; `invalid` when it is no directory. Whiteouts have no meaning here.
Result<UnpackResult> untar_into(FdView root, const std::string& path, Source& tar,
                                const UntarOptions& options = {});

/// How whiteouts of a layer tree look on disk and in a tar.
enum class Whiteouts {
    none,     ///< a plain tree
    overlay,  ///< 0/0 character devices and trusted.overlay.opaque, written as .wh. entries
};

struct TarOptions {
    Whiteouts whiteouts = Whiteouts::none;
    bool nanoseconds = false;
    /// Entries (paths without leading slash) to leave out, with what is below them.
    std::function<bool(std::string_view path)> exclude;
};

/// The object at `path` below `root` as docker's GET /containers/{id}/archive gives it: entries are
/// named after the last part of `path`; for "dir/." they are "./…", for "/" they start with "/". A
/// symlink as last part is archived itself, unless `path` ends with a slash.
Result<void> tar_from(FdView root, const std::string& path, Sink& out,
                      const TarOptions& options = {});
/// The whole tree below `root` with names relative to it and no entry for the root itself, sorted:
/// what `export` gives, and with Whiteouts::overlay the diff of a layer.
Result<void> tar_tree(FdView root, Sink& out, const TarOptions& options = {});

struct Usage;
/// What is mounted in a tree from another file system.
enum class Mounted { counted, left_out };
/// Sizes of the tree below `directory`, hard links once. It may change meanwhile.
Result<Usage> tree_usage(FdView directory, Mounted mounted = Mounted::counted);

/// What X-Docker-Container-Path-Stat says.
struct PathStat {
    std::string name;  ///< last part of the asked path; "/" for the root
    std::uint64_t size = 0;
    mode_t mode = 0;  ///< st_mode; the API's os.FileMode is go_file_mode(mode)
    timespec mtime{};
    std::string link_target;  ///< of a symlink: the absolute path in the container it leads to
};
/// Does not follow a symlink as last part, unless `path` ends with a slash.
Result<PathStat> stat_in(FdView root, const std::string& path);
/// Go's os.FileMode bits for a st_mode (type bits at the top, as in docker's JSON).
std::uint32_t go_file_mode(mode_t mode);

}  // namespace corten::storage
