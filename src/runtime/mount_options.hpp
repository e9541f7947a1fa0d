#pragma once
// The option words of a mount entry, taken apart (mount(8), runtime-spec config.md "Mounts").
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/mount_words.hpp>

#include <string>
#include <vector>

namespace corten::runtime {

struct MountOptions : sys::MountWords {
    bool copy_up = false;         ///< "tmpcopyup"
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
