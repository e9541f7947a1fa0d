#pragma once
// Removing trees that others have written, and may still write to.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <string>

namespace corten::sys {

/// rm -rf of one name below an open directory, of any depth, following nothing. A name that does
/// not exist is fine. conflict where something is mounted, or a directory was moved meanwhile.
Result<void> remove_at(FdView directory, const std::string& name);

}  // namespace corten::sys
