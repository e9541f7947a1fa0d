#pragma once
// Removing trees that others have written, and may still write to.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <stop_token>
#include <string>

namespace corten::sys {

/// rm -rf of one name below an open directory, of any depth, following nothing. A name that does
/// not exist is fine. conflict where something is mounted, or a directory was moved meanwhile;
/// cancelled, with a part of it left, once it is to stop.
Result<void> remove_at(FdView directory, const std::string& name, const std::stop_token& stop = {});

}  // namespace corten::sys
