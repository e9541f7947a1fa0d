#pragma once
// What a process needs after its namespaces and root are right, taken apart before the clone. Used
// by create() and exec() alike; everything below runs in the new process, in the container's root.
#include "capabilities.hpp"
#include "security_labels.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <runtime/container.hpp>
#include <sys/resource.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::runtime {

struct SeccompPlan {
    std::string program;  ///< array of sock_filter
    unsigned flags = 0;   ///< SECCOMP_FILTER_FLAG_*
    std::string listener_path;
    std::string listener_metadata;
    Fd listener;  ///< connected by the process while it still sees the host's paths
};

struct Rlimit {
    int resource = 0;
    rlimit value{};
};

struct ProcessPlan {
    oci::Process process;
    CapabilitySets capabilities;  ///< none when the configuration says nothing
    std::vector<Rlimit> rlimits;
    std::optional<SeccompPlan> seccomp;
    LabelPlan labels;
    Stdio stdio;
    int preserve_fds = 0;
    oci::State container;  ///< for a seccomp listener, and its id for the keyring

    // Filled in by the process itself.
    pid_t pid = 0;              ///< as its caller sees it
    std::string program;        ///< resolved path of args[0]
    bool cwd_deferred = false;  ///< only the container's user may enter it
};

/// `section` is compiled unless `program` (a descriptor to a compiled one) is valid.
Result<ProcessPlan> plan_process(oci::Process process,
                                 const std::optional<oci::LinuxSeccomp>& section, FdView program,
                                 std::vector<std::string>& warnings);

// In the new process, in this order:

/// Scheduler and I/O priority. Rlimits come with apply_rlimits(), as late as can be.
Result<void> apply_scheduling(const oci::Process& process);
/// The processors of a list of process.execCPUAffinity, for the calling process; "" leaves them.
Result<void> set_affinity(const std::string& list);
Result<void> apply_rlimits(const std::vector<Rlimit>& limits);
/// The descriptors become 0, 1, 2; invalid ones /dev/null. Pipes are given to the container's user,
/// who otherwise could not open /dev/stdout.
Result<void> apply_stdio(const Stdio& stdio, const oci::User& user);
/// The number that the process has for its caller, who tells it with the order to go on.
Result<void> learn_pid(ProcessPlan& plan, std::string_view order);
/// Closes everything above 2 + preserved but `kept`, which becomes close-on-exec.
Result<void> seal_descriptors(int preserved, std::vector<int> kept);
/// chdir within the root, never through a magic link; refuses a directory outside of the root.
Result<void> enter_cwd(ProcessPlan& plan);
/// HOME when it is not set, from the container's /etc/passwd.
void complete_environment(ProcessPlan& plan);
/// The home of a user in the text of such a file, "" when it names none.
std::string home_of(uid_t uid, std::string_view passwd);
/// Finds args[0] in PATH. Errors have the texts that clients match on: exec: "x": ...
Result<void> find_program(ProcessPlan& plan);
/// User, groups, capabilities, no_new_privs, seccomp. After this nothing but execve may be done.
Result<void> become_user(ProcessPlan& plan);
/// Returns only with an error.
Error execute(const ProcessPlan& plan);

}  // namespace corten::runtime
