#pragma once
// The process of the OCI runtime specification 1.2 (config.md, "Process").
#include <base/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace corten::oci {

struct ConsoleSize {
    std::uint32_t height = 0;
    std::uint32_t width = 0;
    static constexpr void fields(auto visit) {
        visit(field("height", &ConsoleSize::height), field("width", &ConsoleSize::width));
    }
};

struct User {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::optional<std::uint32_t> umask;
    std::vector<std::uint32_t> additional_gids;
    static constexpr void fields(auto visit) {
        visit(field("uid", &User::uid), field("gid", &User::gid), omit_empty("umask", &User::umask),
              omit_empty("additionalGids", &User::additional_gids));
    }
};

/// Names as capabilities(7) has them, "CAP_CHOWN".
struct LinuxCapabilities {
    std::vector<std::string> bounding;
    std::vector<std::string> effective;
    std::vector<std::string> inheritable;
    std::vector<std::string> permitted;
    std::vector<std::string> ambient;
    static constexpr void fields(auto visit) {
        visit(omit_empty("bounding", &LinuxCapabilities::bounding),
              omit_empty("effective", &LinuxCapabilities::effective),
              omit_empty("inheritable", &LinuxCapabilities::inheritable),
              omit_empty("permitted", &LinuxCapabilities::permitted),
              omit_empty("ambient", &LinuxCapabilities::ambient));
    }
};

struct PosixRlimit {
    std::string type;  ///< "RLIMIT_NOFILE"
    std::uint64_t hard = 0;
    std::uint64_t soft = 0;
    static constexpr void fields(auto visit) {
        visit(field("type", &PosixRlimit::type), field("hard", &PosixRlimit::hard),
              field("soft", &PosixRlimit::soft));
    }
};

struct Scheduler {
    std::string policy;  ///< "SCHED_OTHER", ...
    std::int32_t nice = 0;
    std::int32_t priority = 0;
    std::vector<std::string> flags;  ///< "SCHED_FLAG_RESET_ON_FORK", ...
    std::uint64_t runtime = 0;       ///< nanoseconds, SCHED_DEADLINE
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
    static constexpr void fields(auto visit) {
        visit(field("policy", &Scheduler::policy), omit_empty("nice", &Scheduler::nice),
              omit_empty("priority", &Scheduler::priority), omit_empty("flags", &Scheduler::flags),
              omit_empty("runtime", &Scheduler::runtime),
              omit_empty("deadline", &Scheduler::deadline),
              omit_empty("period", &Scheduler::period));
    }
};

struct IoPriority {
    std::string priority_class;  ///< "IOPRIO_CLASS_BE", ...
    std::int32_t priority = 0;
    static constexpr void fields(auto visit) {
        visit(field("class", &IoPriority::priority_class),
              field("priority", &IoPriority::priority));
    }
};

/// Processor lists in the format of cpuset(7).
struct ExecCpuAffinity {
    std::string initial;
    std::string final;
    static constexpr void fields(auto visit) {
        visit(omit_empty("initial", &ExecCpuAffinity::initial),
              omit_empty("final", &ExecCpuAffinity::final));
    }
};

struct Process {
    bool terminal = false;
    std::optional<ConsoleSize> console_size;
    User user;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::string cwd;
    std::optional<LinuxCapabilities> capabilities;
    std::vector<PosixRlimit> rlimits;
    bool no_new_privileges = false;
    std::string apparmor_profile;
    std::optional<std::int32_t> oom_score_adj;
    std::optional<Scheduler> scheduler;
    std::string selinux_label;
    std::optional<IoPriority> io_priority;
    std::optional<ExecCpuAffinity> exec_cpu_affinity;
    static constexpr void fields(auto visit) {
        visit(omit_empty("terminal", &Process::terminal),
              omit_empty("consoleSize", &Process::console_size), field("user", &Process::user),
              omit_empty("args", &Process::args), omit_empty("env", &Process::env),
              field("cwd", &Process::cwd), omit_empty("capabilities", &Process::capabilities),
              omit_empty("rlimits", &Process::rlimits),
              omit_empty("noNewPrivileges", &Process::no_new_privileges),
              omit_empty("apparmorProfile", &Process::apparmor_profile),
              omit_empty("oomScoreAdj", &Process::oom_score_adj),
              omit_empty("scheduler", &Process::scheduler),
              omit_empty("selinuxLabel", &Process::selinux_label),
              omit_empty("ioPriority", &Process::io_priority),
              omit_empty("execCPUAffinity", &Process::exec_cpu_affinity));
    }
};

/// A process to exec in a running container comes without a root file system to check against, so
/// this needs no more than the process: the field at fault is named ("process.cwd: ...").
Result<void> validate(const Process& process);

}  // namespace corten::oci
