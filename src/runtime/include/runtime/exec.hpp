#pragma once
// One more process in a running container. Like create(): the caller must be single-threaded.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <runtime/container.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

#include <map>
#include <string>
#include <vector>

namespace corten::runtime {

struct ExecRequest {
    oci::Process process;
    /// The container's init: all its namespaces that differ from the caller's are joined.
    sys::PidRef container;
    /// Invalid: stay in the caller's cgroup.
    cgroup::Group cgroup;
    /// That group and no other. Else, where it takes no processes of its own, the one below it in
    /// which the container's init is.
    bool exact_cgroup = false;
    /// The container's seccomp section, or a compiled program of it. Both empty: no filter.
    std::optional<oci::LinuxSeccomp> seccomp;
    Fd seccomp_program;
    std::optional<oci::LinuxPersonality> personality;     ///< the container's
    std::optional<oci::LinuxMemoryPolicy> memory_policy;  ///< the container's
    Stdio stdio;
    int preserve_fds = 0;
    bool die_with_parent = false;
    bool no_new_keyring = false;  ///< as the container was made
    oci::State state;             ///< the container's, for seccomp listeners
};

struct ExecProcess {
    sys::OwnedChild child;
    Fd console_master;
    std::vector<Timing> timings;
    std::vector<std::string> warnings;
};

/// Returns once the process has executed its program. Errors as Created::start() gives them.
Result<ExecProcess> exec(ExecRequest request);

}  // namespace corten::runtime
