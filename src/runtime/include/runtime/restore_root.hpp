#pragma once
// What CRIU wants of a root directory before it restores a container there.
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <string>

namespace corten::runtime {

/// Makes the targets of the specification's mounts where they are missing in the directory `root`,
/// as create() would, but those below a tmpfs, whose content comes back with it.
Result<void> make_mount_points(const oci::Spec& spec, const std::string& root);

/// Where a mount's destination is in the container, with the links of `root` followed.
Result<std::string> resolved_destination(const std::string& root, const std::string& destination);

/// Whether this is a mount of something outside the container: type "bind", or the options say so.
bool is_bind(const oci::Mount& mount);

}  // namespace corten::runtime
