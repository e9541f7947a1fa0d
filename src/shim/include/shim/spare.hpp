#pragma once
// A supervisor that a daemon has started ahead of need: it waits until it is told whose it is, so
// that no start has to wait for a new process.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <proto/shim_messages.hpp>

#include <optional>

namespace corten::shim {

/// Blocks; nullopt when the daemon has ended instead. What goes wrong from then on is written
/// where the assignment says.
Result<std::optional<proto::AssignMessage>> wait_for_assignment(FdView control);

}  // namespace corten::shim
