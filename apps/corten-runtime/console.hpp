#pragma once
// Where a container's terminal goes: to the socket of a caller, or to our own terminal.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/process.hpp>

#include <string>

namespace corten::runtime_cli {

/// Sends the master over the caller's --console-socket, as runc does: one byte string with its name
/// and the descriptor.
Result<void> send_console(const std::string& socket_path, FdView master);

/// Forwards signals to the process, and copies between our terminal and its until it ends. An
/// invalid master only waits. Returns the exit code.
Result<int> attend(sys::OwnedChild child, FdView master);

/// Blocks the signals that attend() forwards, so that none gets lost before it runs.
void hold_signals();

}  // namespace corten::runtime_cli
