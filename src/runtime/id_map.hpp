#pragma once
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/types.h>

#include <vector>

namespace corten::runtime {

/// Writes the maps of a process that is alone in its new user namespace. As root directly; as an
/// ordinary user through newuidmap and newgidmap, which hold the user's rights in /etc/subuid.
Result<void> write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uids,
                           const std::vector<oci::IdMapping>& gids);

/// A user namespace with these maps and no process in it: what an id-mapped mount refers to.
Result<Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids,
                               const std::vector<oci::IdMapping>& gids);

}  // namespace corten::runtime
