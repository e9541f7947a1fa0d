#pragma once
// Building the container's file tree. Everything here runs in the new process, in its new mount
// namespace, before pivot_root unless said otherwise; the host's tree is still around it.
#include "plan.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::runtime {

/// Cuts the propagation of the namespace's mounts and attaches the root mount. Gives its
/// descriptor.
Result<Fd> attach_root(LaunchPlan& plan);

/// One entry of spec.mounts, onto its destination in the root.
Result<void> perform_mount(FdView root, MountPlan& mount, const LaunchPlan& plan);
/// The cgroup view: v2's own tree, or a tmpfs with the container's directory of each v1 hierarchy.
Result<void> mount_cgroups(FdView root, const MountPlan& mount, const LaunchPlan& plan);
/// tmpcopyup: copies the tree at `from` into the new file system at `to`.
Result<void> copy_tree(FdView from, FdView to);

/// Default devices and linux.devices, the links in /dev. `console`: there will be a terminal.
Result<void> make_devices(FdView root, const LaunchPlan& plan);
/// The pseudo terminal of a process: opened through the container's own devpts.
struct Console {
    Fd master;
    Fd slave;
};
Result<Console> open_console(FdView root, const oci::Process& process, bool keep_line_ends);
/// Binds the slave to /dev/console.
Result<void> bind_console(FdView root, const Console& console);

/// Where procfs and sysfs are mounted, by the text of mountinfo, but for those below `root_path`.
std::vector<std::string> kernel_file_systems(std::string_view mountinfo,
                                             const std::string& root_path);
/// Makes the root mount "/" and lets the old one go.
Result<void> change_root(FdView root, const LaunchPlan& plan);
/// After change_root(): root.readonly and rootfsPropagation.
Result<void> finish_root(FdView root, const LaunchPlan& plan);
/// Before change_root(): what protect_paths() hides files with, from the host's /dev/null.
Result<Fd> null_mount();
/// After change_root(): linux.readonlyPaths and linux.maskedPaths.
Result<void> protect_paths(FdView root, LaunchPlan& plan);

}  // namespace corten::runtime
