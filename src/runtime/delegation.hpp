#pragma once
#include "plan.hpp"

namespace corten::runtime {

/// Gives the container's group on cgroup v2 to the user of its process, when the container has a
/// cgroup namespace of its own and the hierarchy is mounted in it for writing (runtime-spec,
/// config-linux.md, "Cgroup ownership"). Where that is not to be, nothing changes; where the caller
/// lacks the rights, a warning says so.
Result<void> delegate_group(LaunchPlan& plan);

}  // namespace corten::runtime
