#pragma once
// Processes as /proc shows them, for `top` and `explain`.
#include <base/result.hpp>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::engine {

struct ProcessInfo {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t inner_pid = 0;  ///< in its own pid namespace
    std::uint32_t uid = 0;
    std::string terminal;  ///< "pts/0" or "?"
    std::uint64_t cpu_ticks = 0;
    std::int64_t started = 0;  ///< unix seconds
    std::string command;       ///< "[name]" for one without arguments
};

/// Those of `pids` that still exist.
Result<std::vector<ProcessInfo>> read_processes(const std::vector<pid_t>& pids);

}  // namespace corten::engine
