#pragma once
// Resource limits of the OCI runtime specification 1.2, Linux (config-linux.md, "Control groups").
#include <base/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::oci {

/// A rule of the device cgroup. Rules apply in order; a later one overrides an earlier one.
struct DeviceRule {
    bool allow = false;
    std::string type;  ///< "a" (or empty), "c", "b"
    std::optional<std::int64_t> major;
    std::optional<std::int64_t> minor;
    std::string access;  ///< letters of "rwm"
    static constexpr void fields(auto visit) {
        visit(field("allow", &DeviceRule::allow), omit_empty("type", &DeviceRule::type),
              omit_empty("major", &DeviceRule::major), omit_empty("minor", &DeviceRule::minor),
              omit_empty("access", &DeviceRule::access));
    }
};

struct LinuxMemory {
    std::optional<std::int64_t> limit;        ///< bytes, -1 unlimited
    std::optional<std::int64_t> reservation;  ///< bytes
    std::optional<std::int64_t> swap;         ///< bytes of memory + swap, -1 unlimited
    std::optional<std::int64_t> kernel;       ///< ignored: the kernel dropped it
    std::optional<std::int64_t> kernel_tcp;   ///< ignored outside v1
    std::optional<std::uint64_t> swappiness;
    std::optional<bool> disable_oom_killer;
    std::optional<bool> use_hierarchy;
    std::optional<bool> check_before_update;
    static constexpr void fields(auto visit) {
        visit(omit_empty("limit", &LinuxMemory::limit),
              omit_empty("reservation", &LinuxMemory::reservation),
              omit_empty("swap", &LinuxMemory::swap), omit_empty("kernel", &LinuxMemory::kernel),
              omit_empty("kernelTCP", &LinuxMemory::kernel_tcp),
              omit_empty("swappiness", &LinuxMemory::swappiness),
              omit_empty("disableOOMKiller", &LinuxMemory::disable_oom_killer),
              omit_empty("useHierarchy", &LinuxMemory::use_hierarchy),
              omit_empty("checkBeforeUpdate", &LinuxMemory::check_before_update));
    }
};

struct LinuxCpu {
    std::optional<std::uint64_t> shares;
    std::optional<std::int64_t> quota;    ///< microseconds per period, -1 unlimited
    std::optional<std::uint64_t> burst;   ///< microseconds
    std::optional<std::uint64_t> period;  ///< microseconds
    std::optional<std::int64_t> realtime_runtime;
    std::optional<std::uint64_t> realtime_period;
    std::string cpus;  ///< list format of cpuset(7)
    std::string mems;
    std::optional<std::int64_t> idle;
    static constexpr void fields(auto visit) {
        visit(omit_empty("shares", &LinuxCpu::shares), omit_empty("quota", &LinuxCpu::quota),
              omit_empty("burst", &LinuxCpu::burst), omit_empty("period", &LinuxCpu::period),
              omit_empty("realtimeRuntime", &LinuxCpu::realtime_runtime),
              omit_empty("realtimePeriod", &LinuxCpu::realtime_period),
              omit_empty("cpus", &LinuxCpu::cpus), omit_empty("mems", &LinuxCpu::mems),
              omit_empty("idle", &LinuxCpu::idle));
    }
};

struct LinuxPids {
    std::optional<std::int64_t> limit;  ///< 0 or less: unlimited
    static constexpr void fields(auto visit) { visit(omit_empty("limit", &LinuxPids::limit)); }
};

struct WeightDevice {
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint16_t> weight;
    std::optional<std::uint16_t> leaf_weight;
    static constexpr void fields(auto visit) {
        visit(field("major", &WeightDevice::major), field("minor", &WeightDevice::minor),
              omit_empty("weight", &WeightDevice::weight),
              omit_empty("leafWeight", &WeightDevice::leaf_weight));
    }
};

struct ThrottleDevice {
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::uint64_t rate = 0;  ///< bytes or operations per second
    static constexpr void fields(auto visit) {
        visit(field("major", &ThrottleDevice::major), field("minor", &ThrottleDevice::minor),
              field("rate", &ThrottleDevice::rate));
    }
};

struct LinuxBlockIo {
    std::optional<std::uint16_t> weight;  ///< 10 to 1000
    std::optional<std::uint16_t> leaf_weight;
    std::vector<WeightDevice> weight_device;
    std::vector<ThrottleDevice> throttle_read_bps_device;
    std::vector<ThrottleDevice> throttle_write_bps_device;
    std::vector<ThrottleDevice> throttle_read_iops_device;
    std::vector<ThrottleDevice> throttle_write_iops_device;
    static constexpr void fields(auto visit) {
        visit(omit_empty("weight", &LinuxBlockIo::weight),
              omit_empty("leafWeight", &LinuxBlockIo::leaf_weight),
              omit_empty("weightDevice", &LinuxBlockIo::weight_device),
              omit_empty("throttleReadBpsDevice", &LinuxBlockIo::throttle_read_bps_device),
              omit_empty("throttleWriteBpsDevice", &LinuxBlockIo::throttle_write_bps_device),
              omit_empty("throttleReadIOPSDevice", &LinuxBlockIo::throttle_read_iops_device),
              omit_empty("throttleWriteIOPSDevice", &LinuxBlockIo::throttle_write_iops_device));
    }
};

struct HugepageLimit {
    std::string page_size;    ///< "2MB", "1GB"
    std::uint64_t limit = 0;  ///< bytes
    static constexpr void fields(auto visit) {
        visit(field("pageSize", &HugepageLimit::page_size), field("limit", &HugepageLimit::limit));
    }
};

struct InterfacePriority {
    std::string name;
    std::uint32_t priority = 0;
    static constexpr void fields(auto visit) {
        visit(field("name", &InterfacePriority::name),
              field("priority", &InterfacePriority::priority));
    }
};

struct LinuxNetworkResources {
    std::optional<std::uint32_t> class_id;
    std::vector<InterfacePriority> priorities;
    static constexpr void fields(auto visit) {
        visit(omit_empty("classID", &LinuxNetworkResources::class_id),
              omit_empty("priorities", &LinuxNetworkResources::priorities));
    }
};

struct LinuxRdma {
    std::optional<std::uint32_t> hca_handles;
    std::optional<std::uint32_t> hca_objects;
    static constexpr void fields(auto visit) {
        visit(omit_empty("hcaHandles", &LinuxRdma::hca_handles),
              omit_empty("hcaObjects", &LinuxRdma::hca_objects));
    }
};

struct LinuxResources {
    std::vector<DeviceRule> devices;
    std::optional<LinuxMemory> memory;
    std::optional<LinuxCpu> cpu;
    std::optional<LinuxPids> pids;
    std::optional<LinuxBlockIo> block_io;
    std::vector<HugepageLimit> hugepage_limits;
    std::optional<LinuxNetworkResources> network;
    std::map<std::string, LinuxRdma> rdma;
    std::map<std::string, std::string> unified;  ///< cgroup v2 file name -> value, written as is
    static constexpr void fields(auto visit) {
        visit(omit_empty("devices", &LinuxResources::devices),
              omit_empty("memory", &LinuxResources::memory),
              omit_empty("cpu", &LinuxResources::cpu), omit_empty("pids", &LinuxResources::pids),
              omit_empty("blockIO", &LinuxResources::block_io),
              omit_empty("hugepageLimits", &LinuxResources::hugepage_limits),
              omit_empty("network", &LinuxResources::network),
              omit_empty("rdma", &LinuxResources::rdma),
              omit_empty("unified", &LinuxResources::unified));
    }
};

/// Refuses what no kernel takes, and what would reach another group's files, by the field
/// ("linux.resources.memory.limit: ...").
Result<void> validate(const LinuxResources& resources);

}  // namespace corten::oci
