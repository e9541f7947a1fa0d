#include "process_plan.hpp"

#include <base/text.hpp>
#include <oci/kernel_names.hpp>
#include <sys/file.hpp>

#include <linux/seccomp.h>
#include <seccomp/compile.hpp>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime {
namespace {

Result<std::vector<Rlimit>> plan_rlimits(const std::vector<oci::PosixRlimit>& wanted) {
    std::vector<Rlimit> limits;
    for (const auto& limit : wanted) {
        const auto resource = TRY(value_of(oci::rlimit_types(), limit.type, "process.rlimits"));
        limits.push_back({static_cast<int>(resource), {limit.soft, limit.hard}});
    }
    return limits;
}

Result<std::string> read_program(FdView file) {
    std::string program;
    char buffer[4096];
    for (off_t at = 0;;) {
        // pread: the descriptor is shared with other containers that load the same program.
        const ssize_t n = ::pread(file.raw(), buffer, sizeof buffer, at);
        if (n < 0) return fail_errno("read the seccomp program");
        if (n == 0) break;
        program.append(buffer, static_cast<std::size_t>(n));
        at += n;
        if (program.size() > sizeof(std::uint64_t) * 4096)
            return fail(ErrorKind::invalid, "seccomp program has more than 4096 instructions");
    }
    if (program.empty() || program.size() % 8 != 0)
        return fail(ErrorKind::invalid, "seccomp program is not an array of instructions");
    return program;
}

Result<std::optional<SeccompPlan>> plan_seccomp(const std::optional<oci::LinuxSeccomp>& section,
                                                FdView program,
                                                std::vector<std::string>& warnings) {
    if (!section && !program.valid()) return std::optional<SeccompPlan>();
    SeccompPlan plan;
    plan.program =
        TRY(program.valid() ? read_program(program) : seccomp::compile(*section, &warnings));
    if (section) {
        plan.flags = TRY(seccomp::filter_flags(*section));
        plan.listener_path = section->listener_path;
        plan.listener_metadata = section->listener_metadata;
    }
    if ((plan.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 && plan.listener_path.empty())
        return fail(ErrorKind::invalid,
                    "linux.seccomp.listenerPath: is missing, and an action is SCMP_ACT_NOTIFY");
    return std::optional<SeccompPlan>(std::move(plan));
}

}  // namespace

Result<ProcessPlan> plan_process(oci::Process process,
                                 const std::optional<oci::LinuxSeccomp>& section, FdView program,
                                 std::vector<std::string>& warnings) {
    TRY(oci::validate(process));
    ProcessPlan plan;
    plan.labels = TRY(plan_labels(process));
    plan.rlimits = TRY(plan_rlimits(process.rlimits));
    plan.capabilities =
        resolve_capabilities(process.capabilities.value_or(oci::LinuxCapabilities{}), warnings);
    plan.seccomp = TRY(plan_seccomp(section, program, warnings));
    plan.process = std::move(process);
    return plan;
}

Result<void> learn_pid(ProcessPlan& plan, std::string_view order) {
    plan.pid = static_cast<pid_t>(TRY(parse_integer(order, "process id")));
    // That of its first process is not known before, and this is it.
    if (plan.container.pid == 0) plan.container.pid = plan.pid;
    return {};
}

}  // namespace corten::runtime
