#pragma once
// Replies about containers. Source: Docker Engine API 1.51, recorded replies of 28.5. What differs
// in older versions is added or taken away by the API layer.
#include <apitypes/container_config.hpp>

namespace corten::apitypes {

/// Reply of POST /containers/create.
struct CreateReply {
    std::string id;
    Strings warnings;
    static constexpr void fields(auto visit) {
        visit(field("Id", &CreateReply::id), field("Warnings", &CreateReply::warnings));
    }
};

struct HealthResult {
    std::string start;
    std::string end;
    int exit_code = 0;  ///< -1: the probe timed out
    std::string output;

    static constexpr void fields(auto visit) {
        using C = HealthResult;
        visit(field("Start", &C::start), field("End", &C::end), field("ExitCode", &C::exit_code),
              field("Output", &C::output));
    }
};

struct Health {
    std::string status;  ///< starting, healthy, unhealthy
    int failing_streak = 0;
    std::vector<HealthResult> log;

    static constexpr void fields(auto visit) {
        visit(field("Status", &Health::status), field("FailingStreak", &Health::failing_streak),
              field("Log", &Health::log));
    }
};

struct ContainerState {
    std::string status;  ///< created, running, paused, restarting, removing, exited, dead
    bool running = false;
    bool paused = false;
    bool restarting = false;
    bool oom_killed = false;
    bool dead = false;
    int pid = 0;
    int exit_code = 0;
    std::string error;
    std::string started_at = "0001-01-01T00:00:00Z";
    std::string finished_at = "0001-01-01T00:00:00Z";
    std::optional<Health> health;

    static constexpr void fields(auto visit) {
        using C = ContainerState;
        visit(field("Status", &C::status), field("Running", &C::running),
              field("Paused", &C::paused), field("Restarting", &C::restarting),
              field("OOMKilled", &C::oom_killed), field("Dead", &C::dead), field("Pid", &C::pid),
              field("ExitCode", &C::exit_code), field("Error", &C::error),
              field("StartedAt", &C::started_at), field("FinishedAt", &C::finished_at),
              omit_empty("Health", &C::health));
    }
};

/// Where the layers are, as the storage driver tells it.
struct GraphDriver {
    OptionalStringMap data;
    std::string name;
    static constexpr void fields(auto visit) {
        visit(field("Data", &GraphDriver::data), field("Name", &GraphDriver::name));
    }
};

struct SecondaryAddress {
    std::string addr;
    int prefix_len = 0;
    static constexpr void fields(auto visit) {
        visit(field("Addr", &SecondaryAddress::addr),
              field("PrefixLen", &SecondaryAddress::prefix_len));
    }
};

/// The members from EndpointID to MacAddress repeat what network "bridge" has, else are empty.
struct NetworkSettings {
    std::string bridge;
    std::string sandbox_id;
    std::string sandbox_key;
    PortMap ports;
    bool hairpin_mode = false;
    std::string link_local_ipv6_address;
    int link_local_ipv6_prefix_len = 0;
    std::optional<std::vector<SecondaryAddress>> secondary_ip_addresses;
    std::optional<std::vector<SecondaryAddress>> secondary_ipv6_addresses;
    std::string endpoint_id;
    std::string gateway;
    std::string global_ipv6_address;
    int global_ipv6_prefix_len = 0;
    std::string ip_address;
    int ip_prefix_len = 0;
    std::string ipv6_gateway;
    std::string mac_address;
    std::map<std::string, std::optional<EndpointSettings>> networks;

    static constexpr void fields(auto visit) {
        using C = NetworkSettings;
        visit(field("Bridge", &C::bridge), field("SandboxID", &C::sandbox_id),
              field("SandboxKey", &C::sandbox_key), field("Ports", &C::ports),
              field("HairpinMode", &C::hairpin_mode),
              field("LinkLocalIPv6Address", &C::link_local_ipv6_address),
              field("LinkLocalIPv6PrefixLen", &C::link_local_ipv6_prefix_len),
              field("SecondaryIPAddresses", &C::secondary_ip_addresses),
              field("SecondaryIPv6Addresses", &C::secondary_ipv6_addresses),
              field("EndpointID", &C::endpoint_id), field("Gateway", &C::gateway),
              field("GlobalIPv6Address", &C::global_ipv6_address),
              field("GlobalIPv6PrefixLen", &C::global_ipv6_prefix_len),
              field("IPAddress", &C::ip_address), field("IPPrefixLen", &C::ip_prefix_len),
              field("IPv6Gateway", &C::ipv6_gateway), field("MacAddress", &C::mac_address),
              field("Networks", &C::networks));
    }
};

/// Reply of GET /containers/{id}/json.
struct ContainerInspect {
    std::string id;
    std::string created;
    std::string path;
    Strings args;
    ContainerState state;
    std::string image;  ///< sha256:...
    std::string resolv_conf_path;
    std::string hostname_path;
    std::string hosts_path;
    std::string log_path;
    std::string name;  ///< with the leading slash
    int restart_count = 0;
    std::string driver;
    std::string platform;
    std::string mount_label;
    std::string process_label;
    std::string app_armor_profile;
    StringList exec_ids;
    HostConfig host_config;
    GraphDriver graph_driver;
    std::optional<std::int64_t> size_rw;  ///< only with size=1, as the next
    std::optional<std::int64_t> size_root_fs;
    std::vector<MountPoint> mounts;
    ContainerConfig config;
    NetworkSettings network_settings;

    static constexpr void fields(auto visit) {
        using C = ContainerInspect;
        visit(field("Id", &C::id), field("Created", &C::created), field("Path", &C::path),
              field("Args", &C::args), field("State", &C::state), field("Image", &C::image),
              field("ResolvConfPath", &C::resolv_conf_path),
              field("HostnamePath", &C::hostname_path), field("HostsPath", &C::hosts_path),
              field("LogPath", &C::log_path), field("Name", &C::name),
              field("RestartCount", &C::restart_count), field("Driver", &C::driver),
              field("Platform", &C::platform), field("MountLabel", &C::mount_label),
              field("ProcessLabel", &C::process_label),
              field("AppArmorProfile", &C::app_armor_profile), field("ExecIDs", &C::exec_ids),
              field("HostConfig", &C::host_config), field("GraphDriver", &C::graph_driver),
              omit_empty("SizeRw", &C::size_rw), omit_empty("SizeRootFs", &C::size_root_fs),
              field("Mounts", &C::mounts), field("Config", &C::config),
              field("NetworkSettings", &C::network_settings));
    }
};

/// One published or exposed port of the list; an address family has an entry of its own.
struct Port {
    std::string ip;
    int private_port = 0;
    int public_port = 0;
    std::string type;

    static constexpr void fields(auto visit) {
        using C = Port;
        visit(omit_empty("IP", &C::ip), field("PrivatePort", &C::private_port),
              omit_empty("PublicPort", &C::public_port), field("Type", &C::type));
    }
};

struct ListHostConfig {
    std::string network_mode;
    StringMap annotations;
    static constexpr void fields(auto visit) {
        visit(omit_empty("NetworkMode", &ListHostConfig::network_mode),
              omit_empty("Annotations", &ListHostConfig::annotations));
    }
};

struct ListNetworkSettings {
    std::map<std::string, std::optional<EndpointSettings>> networks;
    static constexpr void fields(auto visit) {
        visit(field("Networks", &ListNetworkSettings::networks));
    }
};

/// An element of GET /containers/json.
struct ContainerSummary {
    std::string id;
    Strings names;
    std::string image;
    std::string image_id;
    std::string command;
    std::int64_t created = 0;  ///< unix seconds
    std::vector<Port> ports;
    std::int64_t size_rw = 0;  ///< only with size=1, as the next
    std::int64_t size_root_fs = 0;
    StringMap labels;
    std::string state;
    std::string status;
    ListHostConfig host_config;
    ListNetworkSettings network_settings;
    std::vector<MountPoint> mounts;

    static constexpr void fields(auto visit) {
        using C = ContainerSummary;
        visit(field("Id", &C::id), field("Names", &C::names), field("Image", &C::image),
              field("ImageID", &C::image_id), field("Command", &C::command),
              field("Created", &C::created), field("Ports", &C::ports),
              omit_empty("SizeRw", &C::size_rw), omit_empty("SizeRootFs", &C::size_root_fs),
              field("Labels", &C::labels), field("State", &C::state), field("Status", &C::status),
              field("HostConfig", &C::host_config), field("NetworkSettings", &C::network_settings),
              field("Mounts", &C::mounts));
    }
};

/// Reply of GET /containers/{id}/top.
struct TopReply {
    std::vector<Strings> processes;
    Strings titles;
    static constexpr void fields(auto visit) {
        visit(field("Processes", &TopReply::processes), field("Titles", &TopReply::titles));
    }
};

struct WaitError {
    std::string message;
    static constexpr void fields(auto visit) { visit(field("Message", &WaitError::message)); }
};

/// Reply of POST /containers/{id}/wait; written when the container has ended.
struct WaitReply {
    std::optional<WaitError> error;
    std::int64_t status_code = 0;
    static constexpr void fields(auto visit) {
        visit(omit_empty("Error", &WaitReply::error), field("StatusCode", &WaitReply::status_code));
    }
};

enum class ChangeKind { modified = 0, added = 1, removed = 2 };

/// An element of GET /containers/{id}/changes.
struct Change {
    std::string path;
    int kind = 0;  ///< ChangeKind
    static constexpr void fields(auto visit) {
        visit(field("Path", &Change::path), field("Kind", &Change::kind));
    }
};

struct UpdateReply {
    StringList warnings;
    static constexpr void fields(auto visit) { visit(field("Warnings", &UpdateReply::warnings)); }
};

/// Header X-Docker-Container-Path-Stat of the archive requests, in base64.
struct PathStat {
    std::string name;
    std::int64_t size = 0;
    std::uint32_t mode = 0;  ///< Go's os.FileMode, not st_mode: a directory has bit 31
    std::string mtime;
    std::string link_target;

    static constexpr void fields(auto visit) {
        using C = PathStat;
        visit(field("name", &C::name), field("size", &C::size), field("mode", &C::mode),
              field("mtime", &C::mtime), field("linkTarget", &C::link_target));
    }
};

struct ContainersPruned {
    StringList containers_deleted;
    std::int64_t space_reclaimed = 0;
    static constexpr void fields(auto visit) {
        visit(field("ContainersDeleted", &ContainersPruned::containers_deleted),
              field("SpaceReclaimed", &ContainersPruned::space_reclaimed));
    }
};

Json to_json(const ContainerInspect& inspect);
Json to_json(const ContainerSummary& summary);
Result<ContainerInspect> container_inspect_from(const Json& json);

}  // namespace corten::apitypes
