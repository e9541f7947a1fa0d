#pragma once
// What CRIU wants to find before it restores a container.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <string>
#include <vector>

namespace corten::runtime {

/// A container's root directory on the host, and the bundle that relative sources begin in.
struct BundleRoot {
    std::string path;
    std::string bundle;
};

/// Makes the targets of the specification's mounts where they are missing in the root, or in the
/// source of the bind mount that they are in, as create() would; but none in another file system,
/// whose content comes back with it.
Result<void> make_mount_points(const oci::Spec& spec, const BundleRoot& root);

/// Where a mount's destination is in the container, with the links of `root` followed as far as
/// there is something: the rest may be in another mount.
Result<std::string> resolved_destination(const std::string& root, const std::string& destination);

/// Whether this is a mount of something outside the container: type "bind", or the options say so.
bool is_bind(const oci::Mount& mount);
/// Its source's path on the host.
std::string bind_source(const oci::Mount& mount, const std::string& bundle);

/// Opens a directory of the host's root for the root of the user namespace that the section makes,
/// who is somebody else on the host: through an id-mapped mount that is nowhere in the tree, in
/// which what root owns is that user's, also what is beside the directory. Opens it as it is where
/// the section has no maps, or the host no such mounts.
Result<Fd> open_as_mapped_root(const std::string& directory, const oci::Linux& section);

/// Where device nodes are made: those that every container has and the specification's. In a user
/// namespace each is a mount of the host's node of the same path.
std::vector<std::string> device_paths(const oci::Spec& spec);

}  // namespace corten::runtime
