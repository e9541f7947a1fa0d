#pragma once
// Detached overlay mounts.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/driver.hpp>

#include <memory>
#include <string>
#include <vector>

namespace corten::storage {

struct OverlayPaths {
    std::vector<std::string> lower;  ///< absolute, the topmost first; at least one
    std::string upper;               ///< "" for a read-only view, which needs two lower ones
    std::string work;
    bool read_only = false;
    /// The end of the mount does not wait until all of the upper directory's file system is on the
    /// disk. Where that can be said: not by mount_overlay_classic().
    bool no_sync = false;
    /// Numbers of files are told apart by their file system too, so that all files of the mount
    /// have one device, as programs expect that ask whether they leave a file system.
    bool several_file_systems = false;
    std::vector<std::shared_ptr<const Fd>> held;  ///< what the paths lead through
};

/// fsopen(2), fsconfig "lowerdir+" per layer, fsmount(2). `unsupported` on kernels before 6.7.
Result<Fd> mount_overlay_by_layer(const OverlayPaths& paths);
/// For older kernels: mount(2) with names relative to `root`, which keeps 128 layers below the page
/// that the options may take; in a thread with a mount namespace of its own, so that nothing shows
/// in the caller's, and taken from there by open_tree(OPEN_TREE_CLONE).
Result<Fd> mount_overlay_classic(const std::string& root, const OverlayPaths& paths);

}  // namespace corten::storage
