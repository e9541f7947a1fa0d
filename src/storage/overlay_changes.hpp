#pragma once
// What docker's diff says, from an overlay's upper directory and the merged view below it.
#include <storage/driver.hpp>

namespace corten::storage {

/// `upper` is the upper directory, `lower` the root of a read-only view of everything below.
Result<std::vector<Change>> overlay_changes(FdView upper, FdView lower);

}  // namespace corten::storage
