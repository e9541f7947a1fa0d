#include "create_request.hpp"

#include "specs.hpp"

#include <base/text.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

using namespace apitypes;

/// The lists that docker's command leaves null when the flag is not given.
StringList given_list(const FlagValues& flags, std::string_view name) {
    return flags.given(name) ? StringList(flags.list(name)) : std::nullopt;
}

template <typename T, typename Parse>
Result<std::optional<std::vector<T>>> parse_each(const FlagValues& flags, std::string_view name,
                                                 Parse parse) {
    std::optional<std::vector<T>> out{std::in_place};
    for (const std::string& spec : flags.list(name)) {
        auto parsed = parse(spec);
        if (!parsed)
            return fail(ErrorKind::invalid, "invalid argument \"{}\" for \"--{}\" flag: {}", spec,
                        name, parsed.error().message());
        out->push_back(std::move(*parsed));
    }
    return out;
}

Result<void> fill_devices(const FlagValues& flags, Resources& out) {
    out.devices.emplace();
    DeviceRequest cdi{.driver = "cdi"};
    for (const std::string& spec : flags.list("device")) {
        if (is_cdi_device(spec)) {
            if (!cdi.device_ids) cdi.device_ids.emplace();
            cdi.device_ids->push_back(spec);
        } else {
            out.devices->push_back(TRY(parse_device(spec)));
        }
    }
    if (flags.given("gpus") || cdi.device_ids) out.device_requests.emplace();
    if (flags.given("gpus")) out.device_requests->push_back(TRY(parse_gpus(flags.text("gpus"))));
    if (cdi.device_ids) out.device_requests->push_back(std::move(cdi));
    out.device_cgroup_rules = given_list(flags, "device-cgroup-rule");
    return {};
}

Result<void> fill_block_limits(const FlagValues& flags, Resources& out) {
    out.blkio_weight_device =
        TRY(parse_each<WeightDevice>(flags, "blkio-weight-device", parse_weight_device));
    out.blkio_device_read_bps =
        TRY(parse_each<ThrottleDevice>(flags, "device-read-bps", parse_throttle_bytes));
    out.blkio_device_write_bps =
        TRY(parse_each<ThrottleDevice>(flags, "device-write-bps", parse_throttle_bytes));
    out.blkio_device_read_iops =
        TRY(parse_each<ThrottleDevice>(flags, "device-read-iops", parse_throttle_operations));
    out.blkio_device_write_iops =
        TRY(parse_each<ThrottleDevice>(flags, "device-write-iops", parse_throttle_operations));
    return {};
}

Result<void> check_mode(std::string_view flag, std::string_view kind, const std::string& mode,
                        bool other_container) {
    const bool container = other_container && mode.starts_with("container:") && mode.size() > 10;
    if (mode.empty() || mode == "host" || container) return {};
    return fail(ErrorKind::invalid, "--{}: invalid {} mode", flag, kind);
}

Result<void> fill_namespaces(const FlagValues& flags, HostConfig& host) {
    host.pid_mode = flags.text("pid");
    host.ipc_mode = flags.text("ipc");
    host.uts_mode = flags.text("uts");
    host.userns_mode = flags.text("userns");
    host.cgroupns_mode = flags.text("cgroupns");
    TRY(check_mode("pid", "PID", host.pid_mode, true));
    TRY(check_mode("uts", "UTS", host.uts_mode, false));
    TRY(check_mode("userns", "USER", host.userns_mode, false));
    if (host.cgroupns_mode != "private")
        TRY(check_mode("cgroupns", "CGROUP", host.cgroupns_mode, false));
    return {};
}

Result<void> fill_security(const FlagValues& flags, HostConfig& host) {
    host.cap_add.list = given_list(flags, "cap-add");
    host.cap_drop.list = given_list(flags, "cap-drop");
    host.privileged = flags.on("privileged");
    host.readonly_rootfs = flags.on("read-only");
    auto security = TRY(parse_security_options(flags.list("security-opt")));
    if (flags.given("security-opt")) host.security_opt = std::move(security.options);
    if (security.all_system_paths) {
        host.masked_paths = Strings{};
        host.readonly_paths = Strings{};
    }
    host.sysctls = parse_pairs(flags.list("sysctl"));
    host.group_add = given_list(flags, "group-add");
    return {};
}

Result<void> fill_mounts(const FlagValues& flags, CreateRequest& request) {
    HostConfig& host = request.host_config;
    Strings binds;
    request.volumes.emplace();
    for (const std::string& spec : flags.list("volume"))
        TRY(parse_volume(spec, binds, *request.volumes));
    if (!binds.empty()) host.binds = std::move(binds);
    host.mounts = TRY(parse_each<Mount>(flags, "mount", parse_mount)).value();
    for (const std::string& spec : flags.list("tmpfs")) {
        const auto [path, options] = split_once(spec, ':');
        host.tmpfs[std::string(path)] = options;
    }
    host.volumes_from = given_list(flags, "volumes-from");
    host.volume_driver = flags.text("volume-driver");
    host.shm_size = flags.size("shm-size");
    host.storage_opt = parse_pairs(flags.list("storage-opt"));
    return {};
}

Result<void> fill_ports(const FlagValues& flags, CreateRequest& request) {
    PublishedPorts ports;
    for (const std::string& spec : flags.list("publish")) TRY(parse_publish(spec, ports));
    for (const std::string& spec : flags.list("expose")) TRY(parse_expose(spec, ports.exposed));
    request.exposed_ports = std::move(ports.exposed);
    request.host_config.port_bindings = std::move(ports.bindings);
    request.host_config.publish_all_ports = flags.on("publish-all");
    return {};
}

Error both_given(std::string_view flag, std::string_view field) {
    return fail(ErrorKind::invalid,
                "conflicting options: cannot specify both --{} and per-network {}", flag, field);
}

/// The flags from before --network took fields belong to the first network.
Result<void> apply_endpoint_flags(const FlagValues& flags, NetworkChoice& choice) {
    EndpointSettings& endpoint = choice.endpoint;
    auto addresses = endpoint.ipam_config.value_or(EndpointIpamConfig{});
    if (flags.given("network-alias")) {
        if (endpoint.aliases) return both_given("network-alias", "alias");
        endpoint.aliases = flags.list("network-alias");
    }
    if (flags.given("link") && is_user_network(choice.name)) endpoint.links = flags.list("link");
    if (flags.given("ip")) {
        if (!addresses.ipv4_address.empty()) return both_given("ip", "IPv4 address");
        addresses.ipv4_address = flags.text("ip");
    }
    if (flags.given("ip6")) {
        if (!addresses.ipv6_address.empty()) return both_given("ip6", "IPv6 address");
        addresses.ipv6_address = flags.text("ip6");
    }
    if (flags.given("link-local-ip")) addresses.link_local_ips = flags.list("link-local-ip");
    if (flags.given("mac-address")) {
        if (!endpoint.mac_address.empty()) return both_given("mac-address", "MAC address");
        endpoint.mac_address = flags.text("mac-address");
    }
    const bool any = !addresses.ipv4_address.empty() || !addresses.ipv6_address.empty() ||
                     !addresses.link_local_ips.empty();
    if (any) endpoint.ipam_config = std::move(addresses);
    return {};
}

Result<void> check_endpoint(const NetworkChoice& choice, std::size_t number_of_networks) {
    if (is_user_network(choice.name)) return {};
    if (choice.endpoint.aliases)
        return fail(ErrorKind::invalid,
                    "network-scoped aliases are only supported for user-defined networks");
    if (number_of_networks > 1)
        return fail(ErrorKind::invalid,
                    "conflicting options: cannot attach both user-defined and "
                    "non-user-defined network-modes");
    return {};
}

Result<void> fill_network(const FlagValues& flags, CreateRequest& request) {
    std::vector<NetworkChoice> choices;
    for (const std::string& spec : flags.list("network"))
        choices.push_back(TRY(parse_network(spec)));
    if (choices.empty()) choices.push_back({.name = "default", .endpoint = {}});
    TRY(apply_endpoint_flags(flags, choices.front()));
    request.host_config.network_mode = choices.front().name;
    auto& endpoints = request.networking_config.endpoints;
    for (NetworkChoice& choice : choices) {
        TRY(check_endpoint(choice, choices.size()));
        if (!endpoints.emplace(choice.name, std::move(choice.endpoint)).second)
            return fail(ErrorKind::invalid, "network \"{}\" is specified multiple times",
                        choice.name);
    }
    HostConfig& host = request.host_config;
    host.links = given_list(flags, "link");
    host.dns = flags.list("dns");
    host.dns_options = flags.list("dns-option");
    host.dns_search = flags.list("dns-search");
    host.extra_hosts = given_list(flags, "add-host");
    if (host.extra_hosts)
        for (std::string& line : *host.extra_hosts)  // "name=ip" is the newer way to write it
            if (const auto at = line.find('='); at != line.npos && line.find(':') > at)
                line[at] = ':';
    return {};
}

Result<void> check_not_negative(const FlagValues& flags, std::string_view name) {
    if (flags.nanoseconds(name) >= 0) return {};
    return fail(ErrorKind::invalid, "--{} cannot be negative", name);
}

Result<void> fill_health(const FlagValues& flags, ContainerConfig& config) {
    constexpr std::string_view times[] = {"health-interval", "health-timeout",
                                          "health-start-period", "health-start-interval"};
    bool any = !flags.text("health-cmd").empty() || flags.integer("health-retries") != 0;
    for (const auto name : times) any = any || flags.nanoseconds(name) != 0;
    if (flags.on("no-healthcheck")) {
        if (any)
            return fail(ErrorKind::invalid, "--no-healthcheck conflicts with --health-* options");
        config.healthcheck = HealthConfig{.test = {"NONE"}};
        return {};
    }
    if (!any) return {};
    for (const auto name : times) TRY(check_not_negative(flags, name));
    if (flags.integer("health-retries") < 0)
        return fail(ErrorKind::invalid, "--health-retries cannot be negative");
    HealthConfig health{
        .interval = flags.nanoseconds("health-interval"),
        .timeout = flags.nanoseconds("health-timeout"),
        .start_period = flags.nanoseconds("health-start-period"),
        .start_interval = flags.nanoseconds("health-start-interval"),
        .retries = static_cast<int>(flags.integer("health-retries")),
    };
    if (!flags.text("health-cmd").empty()) health.test = {"CMD-SHELL", flags.text("health-cmd")};
    config.healthcheck = std::move(health);
    return {};
}

Result<void> fill_attach(const FlagValues& flags, ContainerConfig& config) {
    config.tty = flags.on("tty");
    config.open_stdin = flags.on("interactive");
    for (const std::string& raw : flags.list("attach")) {
        const std::string name = to_lower(raw);
        if (name == "stdin")
            config.attach_stdin = true;
        else if (name == "stdout")
            config.attach_stdout = true;
        else if (name == "stderr")
            config.attach_stderr = true;
        else
            return fail(ErrorKind::invalid,
                        "invalid argument \"{}\" for \"-a, --attach\" flag: valid "
                        "streams are STDIN, STDOUT and STDERR",
                        raw);
    }
    if (!flags.given("attach")) {
        config.attach_stdout = true;
        config.attach_stderr = true;
        config.attach_stdin = config.open_stdin;
    }
    config.stdin_once = config.open_stdin && config.attach_stdin;
    return {};
}

Result<void> fill_process(const ParsedLine& line, ContainerConfig& config) {
    const FlagValues& flags = line.flags;
    config.image = line.arguments.at(0);
    if (line.arguments.size() > 1)
        config.cmd.list = Strings(line.arguments.begin() + 1, line.arguments.end());
    if (flags.given("entrypoint")) config.entrypoint.list = Strings{flags.text("entrypoint")};
    config.hostname = flags.text("hostname");
    config.domainname = flags.text("domainname");
    config.user = flags.text("user");
    config.working_dir = flags.text("workdir");
    auto environment = TRY(parse_environment(flags.list("env-file"), flags.list("env")));
    if (!environment.empty()) config.env = std::move(environment);
    config.labels = TRY(parse_labels(flags.list("label-file"), flags.list("label")));
    config.stop_signal = flags.text("stop-signal");
    if (flags.given("stop-timeout"))
        config.stop_timeout = static_cast<int>(flags.integer("stop-timeout"));
    TRY(fill_attach(flags, config));
    return fill_health(flags, config);
}

Result<void> fill_life(const FlagValues& flags, HostConfig& host) {
    host.auto_remove = flags.on("rm");
    host.restart_policy.name = "no";
    if (!flags.text("restart").empty())
        host.restart_policy = TRY(parse_restart_policy(flags.text("restart")));
    const bool restarts = host.restart_policy.name != "no" && !host.restart_policy.name.empty();
    if (host.auto_remove && restarts)
        return fail(ErrorKind::invalid,
                    "conflicting options: cannot specify both --restart and --rm");
    host.container_id_file = flags.text("cidfile");
    host.log_config.type = flags.text("log-driver");
    host.log_config.config = parse_pairs(flags.list("log-opt"));
    if (host.log_config.type == "none" && !host.log_config.config.empty())
        return fail(ErrorKind::invalid, "invalid logging opts for driver none");
    host.runtime = flags.text("runtime");
    host.annotations = parse_pairs(flags.list("annotation"));
    if (flags.given("init")) host.init = flags.on("init");
    return {};
}

}  // namespace

Result<void> fill_resources(const FlagValues& flags, Resources& out) {
    out.cpu_shares = flags.integer("cpu-shares");
    out.cpu_period = flags.integer("cpu-period");
    out.cpu_quota = flags.integer("cpu-quota");
    out.cpu_realtime_period = flags.integer("cpu-rt-period");
    out.cpu_realtime_runtime = flags.integer("cpu-rt-runtime");
    out.cpuset_cpus = flags.text("cpuset-cpus");
    out.cpuset_mems = flags.text("cpuset-mems");
    out.memory = flags.size("memory");
    out.memory_reservation = flags.size("memory-reservation");
    out.memory_swap = flags.size("memory-swap");
    const auto weight = flags.integer("blkio-weight");
    if (weight < 0 || weight > 65535)
        return fail(ErrorKind::invalid,
                    "invalid argument \"{}\" for \"--blkio-weight\" flag: value out "
                    "of range",
                    weight);
    out.blkio_weight = static_cast<std::uint16_t>(weight);
    if (!flags.given("cpus")) return {};
    const auto cpus = parse_cpus(flags.text("cpus"));
    if (!cpus)
        return fail(ErrorKind::invalid, "invalid argument \"{}\" for \"--cpus\" flag: {}",
                    flags.text("cpus"), cpus.error().message());
    out.nano_cpus = *cpus;
    return {};
}

Result<CreateRequest> make_create_request(const ParsedLine& line) {
    const FlagValues& flags = line.flags;
    CreateRequest request;
    HostConfig& host = request.host_config;
    TRY(fill_process(line, request));
    TRY(fill_resources(flags, host));
    TRY(fill_devices(flags, host));
    TRY(fill_block_limits(flags, host));
    TRY(fill_namespaces(flags, host));
    TRY(fill_security(flags, host));
    TRY(fill_mounts(flags, request));
    TRY(fill_ports(flags, request));
    TRY(fill_network(flags, request));
    TRY(fill_life(flags, host));
    host.ulimits = TRY(parse_each<Ulimit>(flags, "ulimit", parse_ulimit));
    host.cgroup_parent = flags.text("cgroup-parent");
    host.kernel_memory = flags.size("kernel-memory");
    host.memory_swappiness = flags.integer("memory-swappiness");
    if (*host.memory_swappiness < -1 || *host.memory_swappiness > 100)
        return fail(ErrorKind::invalid, "invalid value: {}. Valid memory swappiness range is 0-100",
                    *host.memory_swappiness);
    host.oom_kill_disable = flags.on("oom-kill-disable");
    host.oom_score_adj = static_cast<int>(flags.integer("oom-score-adj"));
    host.pids_limit = flags.integer("pids-limit");
    return request;
}

}  // namespace corten::cli
