#pragma once
// What a container asked of its host. Source: Docker Engine API 1.51, HostConfig and Resources.
#include <apitypes/mount.hpp>

#include <array>

namespace corten::apitypes {

struct LogConfig {
    std::string type;  ///< empty: the daemon's default driver
    StringMap config;

    static constexpr void fields(auto visit) {
        visit(field("Type", &LogConfig::type), field("Config", &LogConfig::config));
    }
};

struct RestartPolicy {
    std::string name;  ///< "", no, always, unless-stopped, on-failure
    int maximum_retry_count = 0;

    static constexpr void fields(auto visit) {
        visit(field("Name", &RestartPolicy::name),
              field("MaximumRetryCount", &RestartPolicy::maximum_retry_count));
    }
};

struct PortBinding {
    std::string host_ip;
    std::string host_port;  ///< "8080", "8080-8090"; "" and "0" ask for an ephemeral port

    static constexpr void fields(auto visit) {
        visit(field("HostIp", &PortBinding::host_ip), field("HostPort", &PortBinding::host_port));
    }
    bool operator==(const PortBinding&) const = default;
};
/// By "80/tcp". Null is an exposed port that is not published.
using PortMap = std::map<std::string, std::optional<std::vector<PortBinding>>>;

struct WeightDevice {
    std::string path;
    std::uint16_t weight = 0;
    static constexpr void fields(auto visit) {
        visit(field("Path", &WeightDevice::path), field("Weight", &WeightDevice::weight));
    }
};

/// Bytes or operations per second.
struct ThrottleDevice {
    std::string path;
    std::uint64_t rate = 0;
    static constexpr void fields(auto visit) {
        visit(field("Path", &ThrottleDevice::path), field("Rate", &ThrottleDevice::rate));
    }
};

struct DeviceMapping {
    std::string path_on_host;
    std::string path_in_container;
    std::string cgroup_permissions;  ///< of r, w, m

    static constexpr void fields(auto visit) {
        using C = DeviceMapping;
        visit(field("PathOnHost", &C::path_on_host),
              field("PathInContainer", &C::path_in_container),
              field("CgroupPermissions", &C::cgroup_permissions));
    }
};

/// --gpus and CDI devices.
struct DeviceRequest {
    std::string driver;
    int count = 0;  ///< -1: all
    StringList device_ids;
    std::optional<std::vector<Strings>> capabilities;
    OptionalStringMap options;

    static constexpr void fields(auto visit) {
        using C = DeviceRequest;
        visit(field("Driver", &C::driver), field("Count", &C::count),
              field("DeviceIDs", &C::device_ids), field("Capabilities", &C::capabilities),
              field("Options", &C::options));
    }
};

struct Ulimit {
    std::string name;  ///< "nofile"
    std::int64_t hard = 0;
    std::int64_t soft = 0;  ///< -1: unlimited

    static constexpr void fields(auto visit) {
        visit(field("Name", &Ulimit::name), field("Hard", &Ulimit::hard),
              field("Soft", &Ulimit::soft));
    }
};

/// Limits: part of HostConfig, and the body of POST /containers/{id}/update. Sizes are bytes.
struct Resources {
    std::int64_t cpu_shares = 0;
    std::int64_t memory = 0;
    std::int64_t nano_cpus = 0;  ///< billionths of a CPU
    std::string cgroup_parent;
    std::uint16_t blkio_weight = 0;
    std::optional<std::vector<WeightDevice>> blkio_weight_device;
    std::optional<std::vector<ThrottleDevice>> blkio_device_read_bps;
    std::optional<std::vector<ThrottleDevice>> blkio_device_write_bps;
    std::optional<std::vector<ThrottleDevice>> blkio_device_read_iops;
    std::optional<std::vector<ThrottleDevice>> blkio_device_write_iops;
    std::int64_t cpu_period = 0;  ///< microseconds, as the next three
    std::int64_t cpu_quota = 0;
    std::int64_t cpu_realtime_period = 0;
    std::int64_t cpu_realtime_runtime = 0;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<std::vector<DeviceMapping>> devices;
    StringList device_cgroup_rules;
    std::optional<std::vector<DeviceRequest>> device_requests;
    std::int64_t kernel_memory = 0;
    std::int64_t kernel_memory_tcp = 0;
    std::int64_t memory_reservation = 0;
    std::int64_t memory_swap = 0;  ///< memory and swap together; -1: unlimited swap
    std::optional<std::int64_t> memory_swappiness;  ///< 0 to 100; -1 (from clients) and null: unset
    std::optional<bool> oom_kill_disable;
    std::optional<std::int64_t> pids_limit;  ///< 0 and null: unset, -1: unlimited
    std::optional<std::vector<Ulimit>> ulimits;
    std::uint64_t cpu_count = 0;
    std::uint64_t cpu_percent = 0;
    std::uint64_t io_maximum_iops = 0;
    std::uint64_t io_maximum_bandwidth = 0;

    static constexpr void fields(auto visit) {
        using C = Resources;
        visit(field("CpuShares", &C::cpu_shares), field("Memory", &C::memory),
              field("NanoCpus", &C::nano_cpus), field("CgroupParent", &C::cgroup_parent),
              field("BlkioWeight", &C::blkio_weight),
              field("BlkioWeightDevice", &C::blkio_weight_device),
              field("BlkioDeviceReadBps", &C::blkio_device_read_bps),
              field("BlkioDeviceWriteBps", &C::blkio_device_write_bps),
              field("BlkioDeviceReadIOps", &C::blkio_device_read_iops),
              field("BlkioDeviceWriteIOps", &C::blkio_device_write_iops),
              field("CpuPeriod", &C::cpu_period), field("CpuQuota", &C::cpu_quota),
              field("CpuRealtimePeriod", &C::cpu_realtime_period),
              field("CpuRealtimeRuntime", &C::cpu_realtime_runtime),
              field("CpusetCpus", &C::cpuset_cpus), field("CpusetMems", &C::cpuset_mems),
              field("Devices", &C::devices), field("DeviceCgroupRules", &C::device_cgroup_rules),
              field("DeviceRequests", &C::device_requests),
              omit_empty("KernelMemory", &C::kernel_memory),
              omit_empty("KernelMemoryTCP", &C::kernel_memory_tcp),
              field("MemoryReservation", &C::memory_reservation),
              field("MemorySwap", &C::memory_swap),
              field("MemorySwappiness", &C::memory_swappiness),
              field("OomKillDisable", &C::oom_kill_disable), field("PidsLimit", &C::pids_limit),
              field("Ulimits", &C::ulimits), field("CpuCount", &C::cpu_count),
              field("CpuPercent", &C::cpu_percent), field("IOMaximumIOps", &C::io_maximum_iops),
              field("IOMaximumBandwidth", &C::io_maximum_bandwidth));
    }
};

struct HostConfig : Resources {
    StringList binds;
    std::string container_id_file;
    LogConfig log_config;
    std::string network_mode;
    std::optional<PortMap> port_bindings;
    RestartPolicy restart_policy;
    bool auto_remove = false;
    std::string volume_driver;
    StringList volumes_from;
    std::array<unsigned, 2> console_size{};  ///< height, width
    StringMap annotations;
    StrSlice cap_add;
    StrSlice cap_drop;
    std::string cgroupns_mode;
    StringList dns;
    StringList dns_options;
    StringList dns_search;
    StringList extra_hosts;
    StringList group_add;
    std::string ipc_mode;
    std::string cgroup;
    StringList links;
    int oom_score_adj = 0;
    std::string pid_mode;
    bool privileged = false;
    bool publish_all_ports = false;
    bool readonly_rootfs = false;
    StringList security_opt;
    StringMap storage_opt;
    StringMap tmpfs;
    std::string uts_mode;
    std::string userns_mode;
    std::int64_t shm_size = 0;
    StringMap sysctls;
    std::string runtime;
    std::string isolation;
    std::vector<Mount> mounts;
    StringList masked_paths;    ///< null: the defaults; []: none
    StringList readonly_paths;  ///< null: the defaults; []: none
    std::optional<bool> init;   ///< null: the daemon's default

private:
    static constexpr void platform_fields(auto visit) {
        using C = HostConfig;
        visit(field("Binds", &C::binds), field("ContainerIDFile", &C::container_id_file),
              field("LogConfig", &C::log_config), field("NetworkMode", &C::network_mode),
              field("PortBindings", &C::port_bindings), field("RestartPolicy", &C::restart_policy),
              field("AutoRemove", &C::auto_remove), field("VolumeDriver", &C::volume_driver),
              field("VolumesFrom", &C::volumes_from), field("ConsoleSize", &C::console_size),
              omit_empty("Annotations", &C::annotations), field("CapAdd", &C::cap_add),
              field("CapDrop", &C::cap_drop), field("CgroupnsMode", &C::cgroupns_mode),
              field("Dns", &C::dns), field("DnsOptions", &C::dns_options),
              field("DnsSearch", &C::dns_search), field("ExtraHosts", &C::extra_hosts),
              field("GroupAdd", &C::group_add), field("IpcMode", &C::ipc_mode),
              field("Cgroup", &C::cgroup), field("Links", &C::links),
              field("OomScoreAdj", &C::oom_score_adj), field("PidMode", &C::pid_mode),
              field("Privileged", &C::privileged), field("PublishAllPorts", &C::publish_all_ports),
              field("ReadonlyRootfs", &C::readonly_rootfs), field("SecurityOpt", &C::security_opt),
              omit_empty("StorageOpt", &C::storage_opt), omit_empty("Tmpfs", &C::tmpfs),
              field("UTSMode", &C::uts_mode), field("UsernsMode", &C::userns_mode),
              field("ShmSize", &C::shm_size), omit_empty("Sysctls", &C::sysctls),
              omit_empty("Runtime", &C::runtime), field("Isolation", &C::isolation));
    }
    static constexpr void late_fields(auto visit) {
        using C = HostConfig;
        visit(omit_empty("Mounts", &C::mounts), field("MaskedPaths", &C::masked_paths),
              field("ReadonlyPaths", &C::readonly_paths), omit_empty("Init", &C::init));
    }

public:
    static constexpr void fields(auto visit) {
        platform_fields(visit);
        Resources::fields(visit);
        late_fields(visit);
    }
};

/// Body of POST /containers/{id}/update.
struct UpdateRequest : Resources {
    RestartPolicy restart_policy;

    static constexpr void fields(auto visit) {
        Resources::fields(visit);
        visit(field("RestartPolicy", &UpdateRequest::restart_policy));
    }
};

}  // namespace corten::apitypes
