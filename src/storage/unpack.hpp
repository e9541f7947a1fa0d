#pragma once
// The applier: turns tar entries into a tree. Used for layers (whiteouts in overlayfs' form) and
// for archives copied into containers.
#include "record.hpp"
#include "unpack_target.hpp"

#include <storage/archive.hpp>

#include <optional>

namespace corten::storage {

struct UnpackPolicy {
    Whiteouts whiteouts = Whiteouts::none;
    bool no_overwrite_dir_non_dir = false;
    std::optional<Owner> owner;
    UnpackLimits limits;
    /// Where the tar is to be re-created from; borrowed, may be null.
    RecordWriter* record = nullptr;
    /// Directory in which what is replaced is kept for the record; made on first use as `replaced`
    /// in this directory. Only with a record, and for unpack_tree().
    FdView record_directory;
};

/// Unpacks all entries into `target`, which is finished too.
Result<UnpackResult> unpack_into(UnpackTarget& target, TarReader& tar, const UnpackPolicy& policy);
/// The same into a directory. Nothing outside `root` is touched, whatever the entries say.
Result<UnpackResult> unpack_tree(FdView root, TarReader& tar, const UnpackPolicy& policy);

}  // namespace corten::storage
