#include <base/text.hpp>
#include <oci/kernel_names.hpp>
#include <sys/resource.h>

#include <algorithm>

namespace corten::oci {
namespace {

constexpr KernelName rlimits[] = {{"RLIMIT_AS", RLIMIT_AS},
                                  {"RLIMIT_CORE", RLIMIT_CORE},
                                  {"RLIMIT_CPU", RLIMIT_CPU},
                                  {"RLIMIT_DATA", RLIMIT_DATA},
                                  {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                  {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                  {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                  {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                  {"RLIMIT_NICE", RLIMIT_NICE},
                                  {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                  {"RLIMIT_NPROC", RLIMIT_NPROC},
                                  {"RLIMIT_RSS", RLIMIT_RSS},
                                  {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                  {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                  {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                  {"RLIMIT_STACK", RLIMIT_STACK}};
constexpr KernelName policies[] = {{"SCHED_OTHER", 0},   {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
                                   {"SCHED_BATCH", 3},   {"SCHED_ISO", 4},  {"SCHED_IDLE", 5},
                                   {"SCHED_DEADLINE", 6}};
constexpr KernelName policy_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
constexpr KernelName priority_classes[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr KernelName memory_modes[] = {{"MPOL_DEFAULT", 0},
                                       {"MPOL_PREFERRED", 1},
                                       {"MPOL_BIND", 2},
                                       {"MPOL_INTERLEAVE", 3},
                                       {"MPOL_LOCAL", 4},
                                       {"MPOL_PREFERRED_MANY", 5},
                                       {"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr KernelName memory_flags[] = {{"MPOL_F_STATIC_NODES", 1 << 15},
                                       {"MPOL_F_RELATIVE_NODES", 1 << 14},
                                       {"MPOL_F_NUMA_BALANCING", 1 << 13}};

}  // namespace

KernelNames rlimit_types() {
    return rlimits;
}
KernelNames scheduler_policies() {
    return policies;
}
KernelNames scheduler_flags() {
    return policy_flags;
}
KernelNames io_classes() {
    return priority_classes;
}
KernelNames memory_policy_modes() {
    return memory_modes;
}
KernelNames memory_policy_flags() {
    return memory_flags;
}

Result<std::uint64_t> value_of(KernelNames names, std::string_view name, std::string_view field) {
    const auto found = std::ranges::find(names, name, &KernelName::name);
    if (found == names.end())
        return fail(ErrorKind::invalid, "{}: \"{}\" is not known", field, name);
    return found->value;
}

Result<std::uint64_t> bits_of(KernelNames names, std::span<const std::string> chosen,
                              std::string_view field) {
    std::uint64_t bits = 0;
    for (const auto& name : chosen) bits |= TRY(value_of(names, name, field));
    return bits;
}

Result<std::vector<unsigned>> parse_number_list(std::string_view list, unsigned last,
                                                std::string_view field) {
    std::vector<unsigned> numbers;
    if (trim(list).empty()) return numbers;
    for (const auto& range : split(list, ',')) {
        const auto [first, end] = split_once(trim(range), '-');
        const auto from = TRY(parse_integer(first, field));
        const auto to = end.empty() ? from : TRY(parse_integer(end, field));
        if (from < 0 || to < from || to > last)
            return fail(ErrorKind::invalid, "{}: \"{}\" is not a range of numbers from 0 to {}",
                        field, range, last);
        for (auto n = from; n <= to; ++n) numbers.push_back(static_cast<unsigned>(n));
    }
    return numbers;
}

}  // namespace corten::oci
