#pragma once
#include "plan.hpp"

#include <base/fd.hpp>

namespace corten::runtime {

/// The new process, from clone to execve. `control` is its end of the channel.
[[noreturn]] void run_init(LaunchPlan& plan, Fd control);

}  // namespace corten::runtime
