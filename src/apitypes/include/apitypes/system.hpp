#pragma once
// The daemon about itself: /version, /info, /system/df, /auth. Source: Docker Engine API 1.51,
// recorded replies of 28.5.
#include <apitypes/container.hpp>
#include <apitypes/image.hpp>
#include <apitypes/volume.hpp>

namespace corten::apitypes {

struct PlatformName {
    std::string name;
    static constexpr void fields(auto visit) { visit(field("Name", &PlatformName::name)); }
};

struct Component {
    std::string name;
    std::string version;
    StringMap details;
    static constexpr void fields(auto visit) {
        visit(field("Name", &Component::name), field("Version", &Component::version),
              omit_empty("Details", &Component::details));
    }
};

/// Reply of GET /version.
struct Version {
    PlatformName platform;
    std::vector<Component> components;
    std::string version;
    std::string api_version;
    std::string min_api_version;
    std::string git_commit;
    std::string go_version;
    std::string os;
    std::string arch;
    std::string kernel_version;
    bool experimental = false;
    std::string build_time;

    static constexpr void fields(auto visit) {
        using C = Version;
        visit(field("Platform", &C::platform), omit_empty("Components", &C::components),
              field("Version", &C::version), field("ApiVersion", &C::api_version),
              field("MinAPIVersion", &C::min_api_version), field("GitCommit", &C::git_commit),
              field("GoVersion", &C::go_version), field("Os", &C::os), field("Arch", &C::arch),
              omit_empty("KernelVersion", &C::kernel_version),
              omit_empty("Experimental", &C::experimental),
              omit_empty("BuildTime", &C::build_time));
    }
};

struct PluginsInfo {
    StringList volume;
    StringList network;
    StringList authorization;
    StringList log;

    static constexpr void fields(auto visit) {
        using C = PluginsInfo;
        visit(field("Volume", &C::volume), field("Network", &C::network),
              field("Authorization", &C::authorization), field("Log", &C::log));
    }
};

struct RegistryIndex {
    Strings mirrors;
    std::string name;
    bool official = false;
    bool secure = true;

    static constexpr void fields(auto visit) {
        using C = RegistryIndex;
        visit(field("Mirrors", &C::mirrors), field("Name", &C::name),
              field("Official", &C::official), field("Secure", &C::secure));
    }
};

struct RegistryConfig {
    std::map<std::string, RegistryIndex> index_configs;
    Strings insecure_registry_cidrs;
    StringList mirrors;

    static constexpr void fields(auto visit) {
        using C = RegistryConfig;
        visit(field("IndexConfigs", &C::index_configs),
              field("InsecureRegistryCIDRs", &C::insecure_registry_cidrs),
              field("Mirrors", &C::mirrors));
    }
};

struct RuntimeInfo {
    std::string path;
    StringList runtime_args;
    StringMap status;

    static constexpr void fields(auto visit) {
        using C = RuntimeInfo;
        visit(omit_empty("path", &C::path), omit_empty("runtimeArgs", &C::runtime_args),
              omit_empty("status", &C::status));
    }
};

struct SwarmInfo {
    std::string node_id;
    std::string node_addr;
    std::string local_node_state = "inactive";
    bool control_available = false;
    std::string error;
    std::optional<Json> remote_managers;

    static constexpr void fields(auto visit) {
        using C = SwarmInfo;
        visit(field("NodeID", &C::node_id), field("NodeAddr", &C::node_addr),
              field("LocalNodeState", &C::local_node_state),
              field("ControlAvailable", &C::control_available), field("Error", &C::error),
              field("RemoteManagers", &C::remote_managers));
    }
};

struct CommitId {
    std::string id;
    static constexpr void fields(auto visit) { visit(field("ID", &CommitId::id)); }
};

struct FirewallBackend {
    std::string driver;
    static constexpr void fields(auto visit) { visit(field("Driver", &FirewallBackend::driver)); }
};

/// Reply of GET /info.
struct Info {
    std::string id;
    int containers = 0;
    int containers_running = 0;
    int containers_paused = 0;
    int containers_stopped = 0;
    int images = 0;
    std::string driver;
    std::vector<Strings> driver_status;  ///< pairs
    PluginsInfo plugins;
    bool memory_limit = false;
    bool swap_limit = false;
    bool kernel_memory_tcp = false;
    bool cpu_cfs_period = false;
    bool cpu_cfs_quota = false;
    bool cpu_shares = false;
    bool cpu_set = false;
    bool pids_limit = false;
    bool ipv4_forwarding = false;
    bool debug = false;
    int open_descriptors = 0;
    bool oom_kill_disable = false;
    int threads = 0;
    std::string system_time;
    std::string logging_driver;
    std::string cgroup_driver;
    std::string cgroup_version;
    int event_listeners = 0;
    std::string kernel_version;
    std::string operating_system;
    std::string os_version;
    std::string os_type;
    std::string architecture;
    std::string index_server_address;
    RegistryConfig registry_config;
    int ncpu = 0;
    std::int64_t mem_total = 0;
    std::optional<Json> generic_resources;
    std::string docker_root_dir;
    std::string http_proxy;
    std::string https_proxy;
    std::string no_proxy;
    std::string name;
    Strings labels;
    bool experimental_build = false;
    std::string server_version;
    std::map<std::string, RuntimeInfo> runtimes;
    std::string default_runtime;
    SwarmInfo swarm;
    bool live_restore_enabled = false;
    std::string isolation;
    std::string init_binary;
    CommitId containerd_commit;
    CommitId runc_commit;
    CommitId init_commit;
    Strings security_options;
    std::optional<FirewallBackend> firewall_backend;
    StringList cdi_spec_dirs;
    StringList warnings;

private:
    static constexpr void engine_fields(auto visit) {
        using C = Info;
        visit(field("ID", &C::id), field("Containers", &C::containers),
              field("ContainersRunning", &C::containers_running),
              field("ContainersPaused", &C::containers_paused),
              field("ContainersStopped", &C::containers_stopped), field("Images", &C::images),
              field("Driver", &C::driver), field("DriverStatus", &C::driver_status),
              field("Plugins", &C::plugins), field("MemoryLimit", &C::memory_limit),
              field("SwapLimit", &C::swap_limit),
              omit_empty("KernelMemoryTCP", &C::kernel_memory_tcp),
              field("CpuCfsPeriod", &C::cpu_cfs_period), field("CpuCfsQuota", &C::cpu_cfs_quota),
              field("CPUShares", &C::cpu_shares), field("CPUSet", &C::cpu_set),
              field("PidsLimit", &C::pids_limit), field("IPv4Forwarding", &C::ipv4_forwarding),
              field("Debug", &C::debug), field("NFd", &C::open_descriptors),
              field("OomKillDisable", &C::oom_kill_disable), field("NGoroutines", &C::threads),
              field("SystemTime", &C::system_time), field("LoggingDriver", &C::logging_driver),
              field("CgroupDriver", &C::cgroup_driver),
              omit_empty("CgroupVersion", &C::cgroup_version),
              field("NEventsListener", &C::event_listeners));
    }
    static constexpr void host_fields(auto visit) {
        using C = Info;
        visit(field("KernelVersion", &C::kernel_version),
              field("OperatingSystem", &C::operating_system), field("OSVersion", &C::os_version),
              field("OSType", &C::os_type), field("Architecture", &C::architecture),
              field("IndexServerAddress", &C::index_server_address),
              field("RegistryConfig", &C::registry_config), field("NCPU", &C::ncpu),
              field("MemTotal", &C::mem_total), field("GenericResources", &C::generic_resources),
              field("DockerRootDir", &C::docker_root_dir), field("HttpProxy", &C::http_proxy),
              field("HttpsProxy", &C::https_proxy), field("NoProxy", &C::no_proxy),
              field("Name", &C::name), field("Labels", &C::labels),
              field("ExperimentalBuild", &C::experimental_build),
              field("ServerVersion", &C::server_version), field("Runtimes", &C::runtimes),
              field("DefaultRuntime", &C::default_runtime), field("Swarm", &C::swarm),
              field("LiveRestoreEnabled", &C::live_restore_enabled),
              field("Isolation", &C::isolation), field("InitBinary", &C::init_binary),
              field("ContainerdCommit", &C::containerd_commit),
              field("RuncCommit", &C::runc_commit), field("InitCommit", &C::init_commit),
              field("SecurityOptions", &C::security_options),
              omit_empty("FirewallBackend", &C::firewall_backend),
              field("CDISpecDirs", &C::cdi_spec_dirs), field("Warnings", &C::warnings));
    }

public:
    static constexpr void fields(auto visit) {
        engine_fields(visit);
        host_fields(visit);
    }
};

struct BuildCacheEntry {
    std::string id;
    Strings parents;  ///< the key has a leading space in 28.5, and clients expect it
    std::string type;
    std::string description;
    bool in_use = false;
    bool shared = false;
    std::int64_t size = 0;
    std::string created_at;
    std::optional<std::string> last_used_at;
    int usage_count = 0;

    static constexpr void fields(auto visit) {
        using C = BuildCacheEntry;
        visit(field("ID", &C::id), omit_empty(" Parents", &C::parents), field("Type", &C::type),
              field("Description", &C::description), field("InUse", &C::in_use),
              field("Shared", &C::shared), field("Size", &C::size),
              field("CreatedAt", &C::created_at), field("LastUsedAt", &C::last_used_at),
              field("UsageCount", &C::usage_count));
    }
};

/// Reply of GET /system/df. With `type=` the members not asked for are null.
struct DiskUsage {
    std::int64_t layers_size = 0;
    std::optional<std::vector<ImageSummary>> images;
    std::optional<std::vector<ContainerSummary>> containers;
    std::optional<std::vector<Volume>> volumes;
    std::optional<std::vector<BuildCacheEntry>> build_cache;

    static constexpr void fields(auto visit) {
        using C = DiskUsage;
        visit(omit_empty("LayersSize", &C::layers_size), field("Images", &C::images),
              field("Containers", &C::containers), field("Volumes", &C::volumes),
              field("BuildCache", &C::build_cache));
    }
};

/// Body of POST /auth, and (base64url) of the header X-Registry-Auth.
struct AuthConfig {
    std::string username;
    std::string password;
    std::string auth;
    std::string server_address;
    std::string identity_token;
    std::string registry_token;

    static constexpr void fields(auto visit) {
        using C = AuthConfig;
        visit(omit_empty("username", &C::username), omit_empty("password", &C::password),
              omit_empty("auth", &C::auth), omit_empty("serveraddress", &C::server_address),
              omit_empty("identitytoken", &C::identity_token),
              omit_empty("registrytoken", &C::registry_token));
    }
};

struct AuthReply {
    std::string identity_token;
    std::string status;
    static constexpr void fields(auto visit) {
        visit(field("IdentityToken", &AuthReply::identity_token),
              field("Status", &AuthReply::status));
    }
};

Json to_json(const Info& info);
Json to_json(const DiskUsage& usage);

}  // namespace corten::apitypes
