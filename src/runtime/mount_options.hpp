#pragma once
// The option words of a mount entry, taken apart (mount(8), runtime-spec config.md "Mounts").
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace corten::runtime {

struct MountOptions {
    bool bind = false;
    bool recursive_bind = false;
    std::uint64_t set = 0;  ///< MOUNT_ATTR_* of the mount itself
    std::uint64_t clear = 0;
    std::uint64_t recursive_set = 0;  ///< "rro", "rnosuid", ...: of it and all below
    std::uint64_t recursive_clear = 0;
    std::uint64_t propagation = 0;  ///< MS_PRIVATE, ...; without MS_REC
    bool recursive_propagation = false;
    std::vector<std::string> super_flags;  ///< "sync", "dirsync", "lazytime", "mand"
    std::vector<std::pair<std::string, std::string>> data;  ///< second empty: a flag
    bool copy_up = false;                                   ///< "tmpcopyup"
    bool copy_symlink = false;    ///< "copy-symlink": the source link itself is made anew
    bool src_no_follow = false;   ///< "src-nofollow"
    bool dest_no_follow = false;  ///< "dest-nofollow"
    bool idmap = false;
    bool recursive_idmap = false;
};

/// `field` names the entry in errors ("mounts[3]").
Result<MountOptions> parse_mount_options(const oci::Mount& mount, std::string_view field);

/// The words that are understood, for `features`.
std::vector<std::string> known_mount_options();

}  // namespace corten::runtime
