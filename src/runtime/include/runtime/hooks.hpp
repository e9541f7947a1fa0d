#pragma once
// Hooks (runtime-spec config.md, "POSIX-platform Hooks"): programs with the container's state on
// stdin. Which namespaces they run in is where run_hooks() is called.
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <string_view>
#include <vector>

namespace corten::runtime {

/// Runs them in order, each until its end or its time-out (then it is killed). The first that fails
/// ends it; `kind` names the list in the error.
Result<void> run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind,
                       const oci::State& state);

/// As the specification wants it of poststart and poststop, where a hook that fails neither ends
/// the lifecycle nor keeps the hooks after it from running. What failed, in the order of the list.
std::vector<Error> run_every_hook(const std::vector<oci::Hook>& hooks, std::string_view kind,
                                  const oci::State& state);

}  // namespace corten::runtime
