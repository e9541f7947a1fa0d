#pragma once
// Where a daemon and a container's supervisor find each other, and what the other has left.
#include <string>

namespace corten::proto {

/// The descriptor under which a supervisor is born with its end of the control socket.
inline constexpr int control_descriptor = 3;

// In the container's runtime directory:
/// where a running supervisor listens for the next daemon.
inline std::string control_socket_in(const std::string& directory) {
    return directory + "/shim.sock";
}
/// the ExitRecord.
inline std::string exit_file_in(const std::string& directory) {
    return directory + "/exit.json";
}
/// the supervisor's errors; a lock on it lasts as long as the supervisor.
inline std::string supervisor_log_in(const std::string& directory) {
    return directory + "/shim.log";
}

}  // namespace corten::proto
