#pragma once
// Whose the bytes below the data root are: every block that du(1) finds there has one owner.
#include "context.hpp"

#include <apitypes/disk_owners.hpp>

namespace corten::engine {

/// Reads every directory of the data root. What comes meanwhile may be missed, or have no owner
/// yet.
Result<apitypes::DiskOwners> find_disk_owners(Context& context);

}  // namespace corten::engine
