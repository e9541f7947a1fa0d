#pragma once
// Supervisors that wait for a container to come: a start takes one instead of waiting until a new
// process is loaded. They hold nothing, and end with the daemon.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <base/sync.hpp>
#include <sys/process.hpp>

#include <optional>
#include <string>
#include <vector>

namespace corten::engine {

/// A supervisor's process, and our end of its control socket.
struct StartedSupervisor {
    sys::OwnedChild process;
    Fd control;
};

/// Writes what goes wrong to `errors`.
Result<StartedSupervisor> spawn_supervisor(const std::string& program,
                                           std::vector<std::string> arguments, FdView errors);

class SpareSupervisors {
public:
    bool has(std::size_t wanted) const;
    void add(StartedSupervisor spare);
    /// One that lives; nullopt when there is none.
    std::optional<StartedSupervisor> take();

private:
    Sync<std::vector<StartedSupervisor>> waiting_;
};

}  // namespace corten::engine
