#pragma once
// The words of mount(8) for options that do not depend on the file system, and their recursive
// forms (runtime-spec config.md, "Mounts").
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace corten::sys {

struct MountWords {
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

    /// The last of two opposites counts. What is none of the words is kept in `data`, for the file
    /// system.
    void take(const std::string& word);
    /// What mount(2) is told: MS_*, without propagation and recursive attributes.
    unsigned long flags() const;
    /// `data` as mount(2) is told it: "size=1m,mode=700".
    std::string data_text() const;
};

/// MOUNT_ATTR_* as mount(2) has them: MS_*. The usual access time, relatime, is no attribute.
unsigned long flags_of_attributes(std::uint64_t attributes);

/// All that take() knows.
std::vector<std::string> known_mount_words();

}  // namespace corten::sys
