// Limits on v2 (the kernel's Documentation/admin-guide/cgroup-v2.rst), converted from the
// specification's v1 units.
#include "apply.hpp"
#include "files.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>

namespace corten::cgroup {
namespace {

Result<void> set(const Group& group, std::string_view file, std::string_view value,
                 const Cause& cause) {
    return write_control(group.v2_directory(), file, value, cause.option)
        .context(fmt::format("linux.resources.{}", cause.field));
}

std::string or_max(std::int64_t value) {
    return value < 0 ? "max" : fmt::to_string(value);
}

/// v1 counts memory and swap together, v2 swap alone.
Result<std::optional<std::string>> swap_value(const oci::LinuxMemory& memory) {
    // Without a limit there is none on swap either.
    if (memory.swap.value_or(0) == 0 && memory.limit.value_or(0) >= 0)
        return std::optional<std::string>();
    if (memory.swap.value_or(-1) <= 0) return std::optional<std::string>("max");
    if (memory.limit.value_or(0) <= 0)
        return fail(ErrorKind::invalid, "linux.resources.memory.swap: needs a memory limit");
    if (*memory.swap < *memory.limit)
        return fail(ErrorKind::invalid, "linux.resources.memory.swap: {} is below the limit, {}",
                    *memory.swap, *memory.limit);
    return std::optional<std::string>(fmt::to_string(*memory.swap - *memory.limit));
}

Result<void> apply_memory(const Group& group, const oci::LinuxMemory& memory) {
    if (memory.disable_oom_killer.value_or(false))
        return fail(ErrorKind::unsupported,
                    "linux.resources.memory.disableOOMKiller: cgroup v2 has no such switch");
    if (memory.swappiness)
        return fail(ErrorKind::unsupported,
                    "linux.resources.memory.swappiness: cgroup v2 has it for the whole host only");
    if (memory.check_before_update.value_or(false) && memory.limit.value_or(-1) > 0) {
        const auto usage = read_number(group.directory(""), "memory.current").value_or(0);
        if (usage > static_cast<std::uint64_t>(*memory.limit))
            return fail(ErrorKind::invalid,
                        "linux.resources.memory.limit: {} is below the usage, {}", *memory.limit,
                        usage);
    }
    const auto swap = TRY(swap_value(memory));
    if (swap) {
        auto result =
            set(group, "memory.swap.max", *swap, {"memory.swap", "CONFIG_SWAP and swapaccount=1"});
        // Without swap accounting "as much as there is" is what the group has anyway.
        if (!result && (result.error().kind() != ErrorKind::unsupported || *swap != "max"))
            return result.error();
    }
    if (memory.limit.value_or(0) != 0)
        TRY(set(group, "memory.max", or_max(*memory.limit), {"memory.limit", "CONFIG_MEMCG"}));
    if (memory.reservation.value_or(0) != 0)
        TRY(set(group, "memory.low", or_max(*memory.reservation),
                {"memory.reservation", "CONFIG_MEMCG"}));
    return {};
}

Result<void> apply_bandwidth(const Group& group, const oci::LinuxCpu& cpu) {
    const auto quota = cpu.quota.value_or(0);
    const auto period = cpu.period.value_or(0);
    const auto burst = [&]() -> Result<void> {
        if (!cpu.burst) return {};
        return set(group, "cpu.max.burst", fmt::to_string(*cpu.burst), {"cpu.burst", "Linux 5.14"});
    };
    burst().ignore();  // above the new quota it would refuse that
    if (quota != 0 || period != 0) {
        std::string line = quota > 0 ? fmt::to_string(quota) : "max";
        if (period != 0) line += fmt::format(" {}", period);
        TRY(set(group, "cpu.max", line,
                {quota != 0 ? "cpu.quota" : "cpu.period", "CONFIG_CFS_BANDWIDTH"}));
    }
    return burst();
}

Result<void> apply_cpu(const Group& group, const oci::LinuxCpu& cpu) {
    if (cpu.realtime_runtime.value_or(0) != 0 || cpu.realtime_period.value_or(0) != 0)
        return fail(ErrorKind::unsupported,
                    "linux.resources.cpu.realtimeRuntime: cgroup v2 has no real-time share");
    if (cpu.idle)
        TRY(set(group, "cpu.idle", fmt::to_string(*cpu.idle), {"cpu.idle", "Linux 5.15"}));
    // An idle group has no weight: the kernel refuses one.
    if (cpu.shares.value_or(0) != 0 && cpu.idle.value_or(0) == 0)
        TRY(set(group, "cpu.weight", fmt::to_string(weight_from_shares(*cpu.shares)),
                {"cpu.shares", "CONFIG_FAIR_GROUP_SCHED"}));
    TRY(apply_bandwidth(group, cpu));
    if (!cpu.cpus.empty()) TRY(set(group, "cpuset.cpus", cpu.cpus, {"cpu.cpus", "CONFIG_CPUSETS"}));
    if (cpu.mems.empty()) return {};
    return set(group, "cpuset.mems", cpu.mems, {"cpu.mems", "CONFIG_CPUSETS"});
}

Result<void> set_io_max(const Group& group, std::string_view key,
                        const std::vector<oci::ThrottleDevice>& devices, std::string_view field) {
    for (const auto& device : devices)
        TRY(set(group, "io.max",
                fmt::format("{}:{} {}={}", device.major, device.minor, key,
                            device.rate == 0 ? "max" : fmt::to_string(device.rate)),
                {field, "CONFIG_BLK_DEV_THROTTLING"}));
    return {};
}

Result<void> set_io_weights(const Group& group, const oci::LinuxBlockIo& io) {
    const auto& directory = group.directory("");
    const bool bfq = has_control(directory, "io.bfq.weight");
    if (io.weight.value_or(0) != 0)
        TRY(bfq ? set(group, "io.bfq.weight", fmt::to_string(*io.weight),
                      {"blockIO.weight", "CONFIG_BFQ_GROUP_IOSCHED"})
                : set(group, "io.weight", fmt::to_string(io_weight_from_blkio(*io.weight)),
                      {"blockIO.weight", "CONFIG_BLK_CGROUP_IOCOST or CONFIG_BFQ_GROUP_IOSCHED"}));
    for (const auto& device : io.weight_device) {
        if (!device.weight) continue;
        TRY(set(group, "io.bfq.weight",
                fmt::format("{}:{} {}", device.major, device.minor, *device.weight),
                {"blockIO.weightDevice", "CONFIG_BFQ_GROUP_IOSCHED"}));
    }
    return {};
}

Result<void> refuse_leaf_weights(const oci::LinuxBlockIo& io) {
    const bool asked = io.leaf_weight.value_or(0) != 0 ||
                       std::ranges::any_of(io.weight_device, [](const oci::WeightDevice& device) {
                           return device.leaf_weight.value_or(0) != 0;
                       });
    if (!asked) return {};
    return fail(ErrorKind::unsupported,
                "linux.resources.blockIO.leafWeight: cgroup v2 has no leaf weights");
}

Result<void> apply_block_io(const Group& group, const oci::LinuxBlockIo& io) {
    TRY(refuse_leaf_weights(io));
    TRY(set_io_weights(group, io));
    TRY(set_io_max(group, "rbps", io.throttle_read_bps_device, "blockIO.throttleReadBpsDevice"));
    TRY(set_io_max(group, "wbps", io.throttle_write_bps_device, "blockIO.throttleWriteBpsDevice"));
    TRY(set_io_max(group, "riops", io.throttle_read_iops_device, "blockIO.throttleReadIOPSDevice"));
    return set_io_max(group, "wiops", io.throttle_write_iops_device,
                      "blockIO.throttleWriteIOPSDevice");
}

Result<void> apply_rdma(const Group& group, const std::map<std::string, oci::LinuxRdma>& limits) {
    for (const auto& [device, limit] : limits) {
        std::string line = device;
        if (limit.hca_handles) line += fmt::format(" hca_handle={}", *limit.hca_handles);
        if (limit.hca_objects) line += fmt::format(" hca_object={}", *limit.hca_objects);
        TRY(set(group, "rdma.max", line, {"rdma", "CONFIG_CGROUP_RDMA"}));
    }
    return {};
}

Result<void> refuse_network(const oci::LinuxNetworkResources& network) {
    if (network.class_id.value_or(0) == 0 && network.priorities.empty()) return {};
    return fail(ErrorKind::unsupported,
                "linux.resources.network: cgroup v2 has neither class ids nor priorities");
}

}  // namespace

std::uint64_t weight_from_shares(std::uint64_t shares) {
    if (shares == 0) return 0;
    if (shares <= 2) return 1;
    if (shares >= 262144) return 10000;
    // Chosen so that both defaults meet: 1024 shares are weight 100, and the ends are the ends.
    const double l = std::log2(static_cast<double>(shares));
    const double exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    return static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent)));
}

std::uint64_t io_weight_from_blkio(std::uint16_t weight) {
    if (weight <= 10) return 1;
    return 1 + (std::uint64_t{weight} - 10) * 9999 / 990;
}

Result<void> apply_hugetlb_v2(const Group& group, const std::vector<oci::HugepageLimit>& limits) {
    for (const auto& limit : limits) {
        const auto value = fmt::to_string(limit.limit);
        TRY(set(group, fmt::format("hugetlb.{}.max", limit.page_size), value,
                {"hugepageLimits", "CONFIG_CGROUP_HUGETLB and this page size"}));
        const auto reserved = fmt::format("hugetlb.{}.rsvd.max", limit.page_size);
        if (has_control(group.v2_directory(), reserved))
            TRY(set(group, reserved, value, {"hugepageLimits", "CONFIG_CGROUP_HUGETLB"}));
    }
    return {};
}

Result<void> apply_unified(const Group& group, const oci::LinuxResources& resources) {
    for (const auto& [file, value] : resources.unified)
        TRY(set(group, file, value,
                {fmt::format("unified.{}", file), "the controller of this file"}));
    return {};
}

Result<void> apply_v2(const Group& group, const oci::LinuxResources& resources) {
    if (resources.memory) TRY(apply_memory(group, *resources.memory));
    if (resources.cpu) TRY(apply_cpu(group, *resources.cpu));
    if (resources.pids && resources.pids->limit)
        TRY(set(group, "pids.max", or_max(*resources.pids->limit > 0 ? *resources.pids->limit : -1),
                {"pids.limit", "CONFIG_CGROUP_PIDS"}));
    if (resources.block_io) TRY(apply_block_io(group, *resources.block_io));
    TRY(apply_hugetlb_v2(group, resources.hugepage_limits));
    if (resources.network) TRY(refuse_network(*resources.network));
    TRY(apply_rdma(group, resources.rdma));
    return apply_unified(group, resources);
}

}  // namespace corten::cgroup
