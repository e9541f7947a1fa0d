#pragma once
// Where a container's terminal goes: to the socket of a caller, or to our own terminal; and how
// such sockets get descriptors.
#include "notify_socket.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/process.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace corten::runtime_cli {

/// Sends the master over the caller's --console-socket, as runc does: one byte string with its name
/// and the descriptor.
Result<void> send_console(const std::string& socket_path, FdView master);

/// Sends a process's pidfd over the caller's --pidfd-socket. `kind` goes along, as with runc:
/// "standard" for a container's first process, "setns" for one that joins it.
Result<void> send_pidfd(const std::string& socket_path, std::string_view kind, FdView pidfd);

/// Forwards signals to the process, and copies between our terminal and its until it ends. An
/// invalid master only waits. That the process is ready is passed on by `notify`, with us as the
/// main process. Returns the exit code.
Result<int> attend(sys::OwnedChild child, FdView master,
                   const std::optional<NotifySocket>& notify = {});

/// Blocks the signals that attend() forwards, so that none gets lost before it runs.
void hold_signals();

}  // namespace corten::runtime_cli
