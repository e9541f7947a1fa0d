// Limits on v1: one file per value (the kernel's Documentation/admin-guide/cgroup-v1).
#include "apply.hpp"
#include "files.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <cerrno>

namespace corten::cgroup {
namespace {

Result<void> set(const std::string& directory, std::string_view file, std::string_view value,
                 const Cause& cause) {
    return write_control(directory, file, value, cause.option)
        .context(fmt::format("linux.resources.{}", cause.field));
}

template <typename Number>
Result<void> set_number(const std::string& directory, std::string_view file,
                        std::optional<Number> value, const Cause& cause) {
    if (!value) return {};
    return set(directory, file, fmt::to_string(*value), cause);
}

constexpr std::string_view memsw_option = "CONFIG_SWAP and swapaccount=1";

Result<void> apply_limit_and_swap(const std::string& directory, const oci::LinuxMemory& memory) {
    const auto limit = [&] {
        return set_number(directory, "memory.limit_in_bytes", memory.limit,
                          {"memory.limit", "CONFIG_MEMCG"});
    };
    const auto swap = [&]() -> Result<void> {
        // Without a limit there is none on both together either.
        auto both = memory.swap;
        if (!both && memory.limit == -1 && has_control(directory, "memory.memsw.limit_in_bytes"))
            both = -1;
        return set_number(directory, "memory.memsw.limit_in_bytes", both,
                          {"memory.swap", memsw_option});
    };
    if (memory.limit == 0) return swap();
    // memsw may never be below the limit, so which goes first depends on the old values.
    const auto first = limit();
    if (first) return swap();
    if (first.error().number() != EINVAL && first.error().number() != EBUSY) return first.error();
    TRY(swap());
    return limit();
}

Result<void> apply_memory(const Group& group, const oci::LinuxMemory& memory) {
    if (memory.limit.value_or(0) == 0 && memory.swap.value_or(0) == 0 &&
        memory.reservation.value_or(0) == 0 && !memory.swappiness &&
        !memory.disable_oom_killer.value_or(false) && !memory.kernel_tcp)
        return {};
    const auto directory = TRY(need(group, "memory", "linux.resources.memory", "CONFIG_MEMCG"));
    if (memory.check_before_update.value_or(false) && memory.limit.value_or(-1) > 0) {
        const auto usage = read_number(directory, "memory.usage_in_bytes").value_or(0);
        if (usage > static_cast<std::uint64_t>(*memory.limit))
            return fail(ErrorKind::invalid,
                        "linux.resources.memory.limit: {} is below the usage, {}", *memory.limit,
                        usage);
    }
    auto limits = apply_limit_and_swap(directory, memory);
    if (!limits && limits.error().number() == EBUSY)
        return std::move(limits).context("below what is in use");
    TRY(std::move(limits));
    if (memory.reservation.value_or(0) != 0)
        TRY(set_number(directory, "memory.soft_limit_in_bytes", memory.reservation,
                       {"memory.reservation", "CONFIG_MEMCG"}));
    TRY(set_number(directory, "memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp,
                   {"memory.kernelTCP", "CONFIG_MEMCG_KMEM"}));
    TRY(set_number(directory, "memory.swappiness", memory.swappiness,
                   {"memory.swappiness", "CONFIG_MEMCG"}));
    if (memory.disable_oom_killer.value_or(false))
        TRY(set(directory, "memory.oom_control", "1", {"memory.disableOOMKiller", "CONFIG_MEMCG"}));
    return {};
}

constexpr Cause realtime_runtime{"cpu.realtimeRuntime", "CONFIG_RT_GROUP_SCHED"};

/// Microseconds that the groups below `parent` have together, `except` one.
Result<std::int64_t> realtime_of_children(const std::string& parent, const std::string& except) {
    std::int64_t sum = 0;
    for (const auto& name : TRY(sys::list_directory(parent))) {
        const std::string child = parent + "/" + name;
        if (child == except) continue;
        if (const auto text = read_control(child, "cpu.rt_runtime_us"))
            sum += parse_integer(*text, "cpu.rt_runtime_us").value_or(0);
    }
    return sum;
}

/// Every group above needs a real-time share before the group below may have one.
Result<void> give_realtime_to_parents(const std::string& directory, std::int64_t runtime) {
    constexpr std::string_view file = "cpu.rt_runtime_us";
    const std::string parent = directory.substr(0, directory.rfind('/'));
    const auto has = read_control(parent, file);
    if (!has) return {};  // above the hierarchy's root
    // The kernel wants the children's shares to stay below the parent's.
    constexpr std::int64_t slack = 1000;
    const std::int64_t wanted = TRY(realtime_of_children(parent, directory)) + runtime + slack;
    const auto number = parse_integer(*has, file);
    if (number && *number >= wanted) return {};
    TRY(give_realtime_to_parents(parent, wanted));
    return set(parent, file, fmt::to_string(wanted), realtime_runtime);
}

/// The kernel counts the share of a group that was removed a moment ago for a while: then the
/// parent needs more than its children show.
Result<void> set_realtime_runtime(const std::string& directory, std::int64_t runtime) {
    constexpr std::string_view file = "cpu.rt_runtime_us";
    auto first = set(directory, file, fmt::to_string(runtime), realtime_runtime);
    if (first || first.error().number() != EINVAL || runtime <= 0) return first;
    if (!give_realtime_to_parents(directory, 2 * runtime)) return first;
    return set(directory, file, fmt::to_string(runtime), realtime_runtime);
}

Result<void> apply_realtime(const std::string& directory, const oci::LinuxCpu& cpu) {
    constexpr Cause cause{"cpu.realtimePeriod", "CONFIG_RT_GROUP_SCHED"};
    const auto period = cpu.realtime_period.value_or(0);
    const auto runtime = cpu.realtime_runtime.value_or(0);
    if (runtime > 0) TRY(give_realtime_to_parents(directory, runtime));
    if (period != 0) {
        const auto first = set(directory, "cpu.rt_period_us", fmt::to_string(period), cause);
        if (!first && (first.error().number() != EINVAL || runtime == 0)) return first.error();
        if (first && runtime == 0) return {};
        if (runtime != 0) TRY(set_realtime_runtime(directory, runtime));
        return first ? Result<void>()
                     : set(directory, "cpu.rt_period_us", fmt::to_string(period), cause);
    }
    if (runtime == 0) return {};
    return set_realtime_runtime(directory, runtime);
}

Result<void> apply_bandwidth(const std::string& directory, const oci::LinuxCpu& cpu) {
    const auto quota = [&]() -> Result<void> {
        if (cpu.quota.value_or(0) == 0) return {};
        return set(directory, "cpu.cfs_quota_us", fmt::to_string(*cpu.quota),
                   {"cpu.quota", "CONFIG_CFS_BANDWIDTH"});
    };
    const auto period = [&]() -> Result<void> {
        if (cpu.period.value_or(0) == 0) return {};
        return set(directory, "cpu.cfs_period_us", fmt::to_string(*cpu.period),
                   {"cpu.period", "CONFIG_CFS_BANDWIDTH"});
    };
    // A burst above the new quota would refuse the quota: lowering it first can only help.
    const auto burst = [&] {
        return set_number(directory, "cpu.cfs_burst_us", cpu.burst,
                          {"cpu.burst", "CONFIG_CFS_BANDWIDTH of Linux 5.14"});
    };
    burst().ignore();
    // The kernel checks quota / period at each write against the parent's, so try both orders.
    const auto first = period();
    if (first) {
        TRY(quota());
    } else {
        if (first.error().number() != EINVAL) return first.error();
        TRY(quota());
        TRY(period());
    }
    return burst();
}

Result<void> apply_shares(const std::string& directory, std::uint64_t shares) {
    if (shares == 0) return {};
    TRY(set(directory, "cpu.shares", fmt::to_string(shares),
            {"cpu.shares", "CONFIG_FAIR_GROUP_SCHED"}));
    // The kernel clamps without a word; a limit that is not what was asked for is an error.
    const auto got = read_number(directory, "cpu.shares").value_or(shares);
    if (got > shares)
        return fail(ErrorKind::invalid,
                    "linux.resources.cpu.shares: {} is below the minimum allowed, {}", shares, got);
    if (got < shares)
        return fail(ErrorKind::invalid,
                    "linux.resources.cpu.shares: {} is above the maximum allowed, {}", shares, got);
    return {};
}

Result<void> apply_cpu(const Group& group, const oci::LinuxCpu& cpu) {
    if (cpu.shares.value_or(0) || cpu.quota.value_or(0) || cpu.period.value_or(0) || cpu.burst ||
        cpu.realtime_period.value_or(0) || cpu.realtime_runtime.value_or(0) || cpu.idle) {
        const auto directory =
            TRY(need(group, "cpu", "linux.resources.cpu", "CONFIG_CGROUP_SCHED"));
        TRY(apply_realtime(directory, cpu));
        TRY(set_number(directory, "cpu.idle", cpu.idle, {"cpu.idle", "Linux 5.15"}));
        // An idle group has no shares: the kernel refuses them.
        if (cpu.idle.value_or(0) == 0) TRY(apply_shares(directory, cpu.shares.value_or(0)));
        TRY(apply_bandwidth(directory, cpu));
    }
    if (cpu.cpus.empty() && cpu.mems.empty()) return {};
    const auto directory = TRY(need(group, "cpuset", "linux.resources.cpu.cpus", "CONFIG_CPUSETS"));
    if (!cpu.cpus.empty())
        TRY(set(directory, "cpuset.cpus", cpu.cpus, {"cpu.cpus", "CONFIG_CPUSETS"}));
    if (cpu.mems.empty()) return {};
    return set(directory, "cpuset.mems", cpu.mems, {"cpu.mems", "CONFIG_CPUSETS"});
}

Result<void> apply_pids(const Group& group, const oci::LinuxPids& pids) {
    if (!pids.limit) return {};
    const auto directory = TRY(need(group, "pids", "linux.resources.pids", "CONFIG_CGROUP_PIDS"));
    const auto value = *pids.limit > 0 ? fmt::to_string(*pids.limit) : std::string("max");
    return set(directory, "pids.max", value, {"pids.limit", "CONFIG_CGROUP_PIDS"});
}

Result<void> set_throttles(const std::string& directory, std::string_view file,
                           const std::vector<oci::ThrottleDevice>& devices,
                           std::string_view field) {
    for (const auto& device : devices)
        TRY(set(directory, fmt::format("blkio.throttle.{}", file),
                fmt::format("{}:{} {}", device.major, device.minor, device.rate),
                {field, "CONFIG_BLK_DEV_THROTTLING"}));
    return {};
}

/// The weight belongs to an I/O scheduler: BFQ has its own file, CFQ (before 5.0) the plain one.
Result<void> set_weight(const std::string& directory, std::string_view suffix,
                        const std::string& value, std::string_view field) {
    constexpr auto option = "CONFIG_BFQ_GROUP_IOSCHED";
    const auto bfq = fmt::format("blkio.bfq.weight{}", suffix);
    if (has_control(directory, bfq)) return set(directory, bfq, value, {field, option});
    return set(directory, fmt::format("blkio.weight{}", suffix), value, {field, option});
}

Result<void> apply_block_io(const Group& group, const oci::LinuxBlockIo& io) {
    if (io.weight.value_or(0) == 0 && io.leaf_weight.value_or(0) == 0 && io.weight_device.empty() &&
        io.throttle_read_bps_device.empty() && io.throttle_write_bps_device.empty() &&
        io.throttle_read_iops_device.empty() && io.throttle_write_iops_device.empty())
        return {};
    const auto directory =
        TRY(need(group, "blkio", "linux.resources.blockIO", "CONFIG_BLK_CGROUP"));
    if (io.weight.value_or(0) != 0)
        TRY(set_weight(directory, "", fmt::to_string(*io.weight), "blockIO.weight"));
    if (io.leaf_weight.value_or(0) != 0)
        TRY(set(directory, "blkio.leaf_weight", fmt::to_string(*io.leaf_weight),
                {"blockIO.leafWeight", "CFQ (before 5.0)"}));
    for (const auto& device : io.weight_device)
        if (device.weight)
            TRY(set_weight(directory, "_device",
                           fmt::format("{}:{} {}", device.major, device.minor, *device.weight),
                           "blockIO.weightDevice"));
    TRY(set_throttles(directory, "read_bps_device", io.throttle_read_bps_device,
                      "blockIO.throttleReadBpsDevice"));
    TRY(set_throttles(directory, "write_bps_device", io.throttle_write_bps_device,
                      "blockIO.throttleWriteBpsDevice"));
    TRY(set_throttles(directory, "read_iops_device", io.throttle_read_iops_device,
                      "blockIO.throttleReadIOPSDevice"));
    return set_throttles(directory, "write_iops_device", io.throttle_write_iops_device,
                         "blockIO.throttleWriteIOPSDevice");
}

Result<void> apply_hugetlb(const Group& group, const std::vector<oci::HugepageLimit>& limits) {
    if (limits.empty()) return {};
    if (group.directory("hugetlb").empty() && !group.v2_directory().empty())
        return apply_hugetlb_v2(group, limits);
    const auto directory =
        TRY(need(group, "hugetlb", "linux.resources.hugepageLimits", "CONFIG_CGROUP_HUGETLB"));
    for (const auto& limit : limits) {
        const auto value = fmt::to_string(limit.limit);
        TRY(set(directory, fmt::format("hugetlb.{}.limit_in_bytes", limit.page_size), value,
                {"hugepageLimits", "CONFIG_CGROUP_HUGETLB and this page size"}));
        const auto reserved = fmt::format("hugetlb.{}.rsvd.limit_in_bytes", limit.page_size);
        if (has_control(directory, reserved))
            TRY(set(directory, reserved, value, {"hugepageLimits", "CONFIG_CGROUP_HUGETLB"}));
    }
    return {};
}

Result<void> apply_network(const Group& group, const oci::LinuxNetworkResources& network) {
    if (network.class_id.value_or(0) != 0) {
        const auto directory = TRY(
            need(group, "net_cls", "linux.resources.network.classID", "CONFIG_CGROUP_NET_CLASSID"));
        TRY(set_number(directory, "net_cls.classid", network.class_id,
                       {"network.classID", "CONFIG_CGROUP_NET_CLASSID"}));
    }
    if (network.priorities.empty()) return {};
    const auto directory = TRY(
        need(group, "net_prio", "linux.resources.network.priorities", "CONFIG_CGROUP_NET_PRIO"));
    for (const auto& entry : network.priorities)
        TRY(set(directory, "net_prio.ifpriomap", fmt::format("{} {}", entry.name, entry.priority),
                {"network.priorities", "CONFIG_CGROUP_NET_PRIO"}));
    return {};
}

Result<void> apply_rdma(const Group& group, const std::map<std::string, oci::LinuxRdma>& limits) {
    if (limits.empty()) return {};
    const auto directory = TRY(need(group, "rdma", "linux.resources.rdma", "CONFIG_CGROUP_RDMA"));
    for (const auto& [device, limit] : limits) {
        std::string line = device;
        if (limit.hca_handles) line += fmt::format(" hca_handle={}", *limit.hca_handles);
        if (limit.hca_objects) line += fmt::format(" hca_object={}", *limit.hca_objects);
        TRY(set(directory, "rdma.max", line, {"rdma", "CONFIG_CGROUP_RDMA"}));
    }
    return {};
}

}  // namespace

Result<std::string> need(const Group& group, std::string_view controller, std::string_view field,
                         std::string_view kernel_option) {
    auto directory = group.directory(controller);
    if (directory.empty())
        return fail(ErrorKind::unsupported, "{}: no {} controller is mounted (the kernel needs {})",
                    field, controller, kernel_option);
    return directory;
}

Result<void> apply_v1(const Group& group, const oci::LinuxResources& resources) {
    if (!resources.unified.empty() && group.v2_directory().empty())
        return fail(
            ErrorKind::unsupported,
            "linux.resources.unified: invalid configuration: this machine's controllers are "
            "on cgroup v1");
    if (resources.memory) TRY(apply_memory(group, *resources.memory));
    if (resources.cpu) TRY(apply_cpu(group, *resources.cpu));
    if (resources.pids) TRY(apply_pids(group, *resources.pids));
    if (resources.block_io) TRY(apply_block_io(group, *resources.block_io));
    TRY(apply_hugetlb(group, resources.hugepage_limits));
    if (resources.network) TRY(apply_network(group, *resources.network));
    TRY(apply_rdma(group, resources.rdma));
    return apply_unified(group, resources);
}

}  // namespace corten::cgroup
