// Scheduler, priorities, rlimits. In the new process; needs the privileges it still has.
#include "process_plan.hpp"

#include <oci/kernel_names.hpp>
#include <sys/syscall.h>

#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime {
namespace {

struct SchedAttributes {  // struct sched_attr, which glibc 2.36 does not declare
    std::uint32_t size = 48;
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0;
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};

Result<void> set_scheduler(const oci::Scheduler& wanted) {
    SchedAttributes attributes;
    attributes.policy = static_cast<std::uint32_t>(
        TRY(value_of(oci::scheduler_policies(), wanted.policy, "process.scheduler.policy")));
    attributes.flags =
        TRY(bits_of(oci::scheduler_flags(), wanted.flags, "process.scheduler.flags"));
    attributes.nice = wanted.nice;
    attributes.priority = static_cast<std::uint32_t>(wanted.priority);
    attributes.runtime = wanted.runtime;
    attributes.deadline = wanted.deadline;
    attributes.period = wanted.period;
    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
        return fail_errno("process.scheduler: set {}", wanted.policy);
    return {};
}

Result<void> set_io_priority(const oci::IoPriority& wanted) {
    // ioprio_set(2). The kernel's header is no C++ in some of Debian's versions.
    constexpr int who_process = 1, class_shift = 13;
    const auto io_class =
        TRY(value_of(oci::io_classes(), wanted.priority_class, "process.ioPriority.class"));
    const auto value = (io_class << class_shift) | static_cast<unsigned>(wanted.priority);
    if (::syscall(SYS_ioprio_set, who_process, 0, value) < 0)
        return fail_errno("process.ioPriority: set {}", wanted.priority_class);
    return {};
}

}  // namespace

Result<void> apply_scheduling(const oci::Process& process) {
    if (process.scheduler) TRY(set_scheduler(*process.scheduler));
    if (process.io_priority) TRY(set_io_priority(*process.io_priority));
    return {};
}

Result<void> set_affinity(const std::string& list) {
    if (list.empty()) return {};
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const auto n :
         TRY(oci::parse_number_list(list, oci::last_processor, "process.execCPUAffinity")))
        CPU_SET(n, &set);
    if (::sched_setaffinity(0, sizeof set, &set) < 0)
        return fail_errno("process.execCPUAffinity: set \"{}\"", list);
    return {};
}

Result<void> apply_rlimits(const std::vector<Rlimit>& limits) {
    for (const auto& limit : limits)
        if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &limit.value) < 0)
            return fail_errno("process.rlimits: set limit {} to {}:{}", limit.resource,
                              limit.value.rlim_cur, limit.value.rlim_max);
    return {};
}

}  // namespace corten::runtime
