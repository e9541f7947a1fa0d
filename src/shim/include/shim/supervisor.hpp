#pragma once
// The supervisor of one container: parent and reaper of its processes, owner of their standard
// streams and of the log. It is told what to do over seqpacket sockets (proto/shim_messages.hpp)
// and outlives whoever told it.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <string>

namespace corten::shim {

/// Runs until the container is released. Listens on `runtime_directory`/shim.sock (mode 0600) for
/// later daemons. `control` may be invalid. The container's group is made at `cgroup_path` before
/// the start is asked for; "" leaves it to the start. The process has to be single-threaded.
Result<void> supervise(const std::string& runtime_directory, const std::string& cgroup_path,
                       Fd control);

}  // namespace corten::shim
