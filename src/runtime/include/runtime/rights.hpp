#pragma once
#include <base/result.hpp>

namespace corten::runtime {

/// Whether the caller is root of the initial user namespace. Root of another one (podman of an
/// ordinary user becomes that) has its user's rights over what is the host's: cgroups, devices.
/// False when it cannot be told.
bool is_host_root();

/// Whether it is for lack of rights that something failed.
bool lacks_rights(const Error& error);

}  // namespace corten::runtime
