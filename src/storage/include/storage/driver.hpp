#pragma once
// The snapshotter interface: how layers and writable snapshots are kept on disk and become a mount.
// A driver knows ids of directories, not images or containers; which layer stands on which is the
// callers' business (LayerStore, SnapshotStore). Every implementation passes the suite in
// tests/driver_conformance_root_test.cpp.
//
// Life of a layer:     begin_layer -> (entries) -> finish -> [readable, immutable] -> remove
// Life of a snapshot:  create_snapshot -> mount, changes, diff … -> remove
// A directory is only valid once the database names it: after a crash list() finds those that it
// does not, and they are removed.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/archive.hpp>

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace corten::storage {

enum class ChangeKind {
    modified = 0,
    added = 1,
    deleted = 2
};  ///< as GET /containers/{id}/changes

struct Change {
    std::string path;  ///< absolute, in the container
    ChangeKind kind = ChangeKind::modified;
    bool operator==(const Change&) const = default;
};

struct Usage {
    std::uint64_t bytes = 0;       ///< sizes of files, hard links once: docker's SizeRw
    std::uint64_t disk_bytes = 0;  ///< allocated blocks, as du(1) counts
    std::uint64_t inodes = 0;
};

enum class Access { read_write, read_only };

/// What a mount is made of.
struct MountPlan {
    std::vector<std::string> layers;  ///< ids, the topmost first; may be empty
    std::string snapshot;             ///< id of the writable part, or "" for a read-only view
    Access access = Access::read_write;
    /// Puts docker's init layer between: empty files and directories for the mount points that
    /// every container gets (/dev/console, /etc/hosts, /proc, …), where the image lacks them, so
    /// that they are no change of the container. It is made once per topmost layer and shared.
    bool init_layer = false;
};

/// Where the parts of a mount lie on the host, for who wants to look. To be read only: containers
/// change what is in them.
struct Places {
    std::vector<std::string> lower;  ///< directories, or images of the erofs driver; topmost first
    std::string upper;               ///< "" without a snapshot
    std::string work;
};

/// Fills one layer; destroyed before finish() it leaves a directory for remove().
class LayerBuilder {
public:
    virtual ~LayerBuilder() = default;
    /// Unpacks a whole tar with whiteouts. With `record` also keeps what write_tar() needs.
    virtual Result<UnpackResult> unpack(Source& tar, const UnpackLimits& limits, bool record) = 0;
};

class Driver {
public:
    virtual ~Driver() = default;
    virtual std::string_view name() const = 0;  ///< "overlay" or "erofs"

    virtual Result<std::unique_ptr<LayerBuilder>> begin_layer(const std::string& id) = 0;
    /// Re-creates the layer's tar; the caller compares its digest. `unsupported` without a record.
    virtual Result<void> write_tar(const std::string& id, Sink& out) = 0;

    /// With `most_bytes` its writable part takes no more of the disk than that; `unsupported` as
    /// limit_space() has it. 0 is no limit.
    virtual Result<void> create_snapshot(const std::string& id, std::uint64_t most_bytes = 0) = 0;

    /// A detached mount: in no mount table and gone with its last descriptor. Attach it with
    /// move_mount(2), or use it by descriptor as root of *at calls.
    virtual Result<Fd> mount(const MountPlan& plan) = 0;

    virtual Places places(const MountPlan& plan) const = 0;

    /// What the snapshot's writable part holds.
    virtual Result<Usage> usage(const std::string& id) = 0;
    /// docker's diff, sorted by path: the writable part against plan.layers.
    virtual Result<std::vector<Change>> changes(const MountPlan& plan) = 0;
    /// The writable part as a layer tar with whiteouts; entries sorted, times in whole seconds.
    virtual Result<void> diff(const MountPlan& plan, Sink& out) = 0;

    /// Takes a layer or snapshot out of sight at once, by rename into the trash; sweep() deletes.
    /// One that does not exist is fine.
    virtual Result<void> remove(const std::string& id) = 0;
    /// Deletes what is in the trash; gives the number of directories. For a background thread.
    /// cancelled, with the rest left to the next one, once it is to stop.
    virtual Result<std::size_t> sweep(const std::stop_token& stop) = 0;
    /// Ids of all layers and snapshots on disk.
    virtual Result<std::vector<std::string>> list() = 0;
};

/// How OverlayDriver asks the kernel; `detect` finds the best at the first mount.
enum class OverlayMount {
    detect,
    lowerdir_plus,  ///< fsconfig "lowerdir+" for each layer (Linux 6.7)
    classic,        ///< mount(2) in a private mount namespace, then open_tree(OPEN_TREE_CLONE)
};

constexpr std::string_view overlay_driver_name = "overlay";
constexpr std::string_view erofs_driver_name = "erofs";

/// Directories under `root`: <id>/ with diff (the files, in overlayfs' own form), work (of
/// snapshots), record and replaced (see record.hpp) and init (of layers); trash/; empty/.
Result<std::unique_ptr<Driver>> open_overlay_driver(const std::string& root,
                                                    OverlayMount method = OverlayMount::detect);

/// How an image of the erofs driver is mounted.
enum class ErofsMount {
    detect,  ///< from its file, else by a loop device
    file,    ///< Linux 6.12
    loop,
};

/// The same, but a layer has, in place of diff and replaced, one EROFS image: `image`, written in
/// one pass and never unpacked. `unsupported` where the kernel cannot put such layers under
/// overlayfs by descriptor (before Linux 6.15).
Result<std::unique_ptr<Driver>> open_erofs_driver(const std::string& root,
                                                  ErofsMount method = ErofsMount::detect);

/// `invalid` when there is none of that name.
Result<void> check_driver_name(std::string_view name);
/// The driver of that name.
Result<std::unique_ptr<Driver>> open_driver(const std::string& name, const std::string& root);

}  // namespace corten::storage
