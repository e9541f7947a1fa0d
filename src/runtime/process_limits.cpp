// Scheduler, priorities, rlimits. In the new process; needs the privileges it still has.
#include "process_plan.hpp"

#include <base/text.hpp>
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

struct Name {
    std::string_view name;
    std::uint64_t value;
};
constexpr Name policies[] = {{"SCHED_OTHER", 0},   {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
                             {"SCHED_BATCH", 3},   {"SCHED_ISO", 4},  {"SCHED_IDLE", 5},
                             {"SCHED_DEADLINE", 6}};
constexpr Name sched_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
// As in linux/ioprio.h, which has a parameter named "class" since Linux 6.6 and Debian's 6.1.192.
constexpr Name io_classes[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr unsigned io_class_shift = 13;
constexpr int one_process = 1;

template <std::size_t N>
Result<std::uint64_t> value_of(const Name (&names)[N], std::string_view name,
                               std::string_view field) {
    for (const auto& entry : names)
        if (entry.name == name) return entry.value;
    return fail(ErrorKind::invalid, "{}: \"{}\" is not known", field, name);
}

Result<void> set_scheduler(const oci::Scheduler& wanted) {
    SchedAttributes attributes;
    attributes.policy = static_cast<std::uint32_t>(
        TRY(value_of(policies, wanted.policy, "process.scheduler.policy")));
    for (const auto& flag : wanted.flags)
        attributes.flags |= TRY(value_of(sched_flags, flag, "process.scheduler.flags"));
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
    const auto io_class =
        TRY(value_of(io_classes, wanted.priority_class, "process.ioPriority.class"));
    const auto value = (io_class << io_class_shift) | static_cast<unsigned>(wanted.priority);
    if (::syscall(SYS_ioprio_set, one_process, 0, value) < 0)
        return fail_errno("process.ioPriority: set {}", wanted.priority_class);
    return {};
}

/// "0-3,7" of cpuset(7).
Result<cpu_set_t> parse_processors(std::string_view list, std::string_view field) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const auto& range : split(list, ',')) {
        const auto [first, last] = split_once(trim(range), '-');
        const auto from = TRY(parse_integer(first, field));
        const auto to = last.empty() ? from : TRY(parse_integer(last, field));
        if (from < 0 || to < from || to >= CPU_SETSIZE)
            return fail(ErrorKind::invalid, "{}: \"{}\" is not a range of processors", field,
                        range);
        for (auto n = from; n <= to; ++n) CPU_SET(static_cast<std::size_t>(n), &set);
    }
    return set;
}

Result<void> set_affinity(const oci::ExecCpuAffinity& wanted) {
    const auto& list = wanted.final.empty() ? wanted.initial : wanted.final;
    if (list.empty()) return {};
    const auto set = TRY(parse_processors(list, "process.execCPUAffinity"));
    if (::sched_setaffinity(0, sizeof set, &set) < 0)
        return fail_errno("process.execCPUAffinity: set \"{}\"", list);
    return {};
}

}  // namespace

Result<void> apply_scheduling(const oci::Process& process) {
    if (process.scheduler) TRY(set_scheduler(*process.scheduler));
    if (process.io_priority) TRY(set_io_priority(*process.io_priority));
    if (process.exec_cpu_affinity) TRY(set_affinity(*process.exec_cpu_affinity));
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
