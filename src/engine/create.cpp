#include "create.hpp"

#include "image_defaults.hpp"
#include "image_name.hpp"
#include "limits.hpp"
#include "mount_plan.hpp"
#include "mount_sources.hpp"
#include "names.hpp"
#include "network_attach.hpp"
#include "security.hpp"
#include "signals.hpp"
#include "spec_builder.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <image/platforms.hpp>
#include <network/etc_files.hpp>
#include <oci/image_spec.hpp>
#include <sys/file.hpp>

#include <algorithm>

namespace corten::engine {

namespace {

template <typename... Args>
Error invalid(fmt::format_string<Args...> format, Args&&... args) {
    return fail(ErrorKind::invalid, format, std::forward<Args>(args)...);
}

/// The name of what a client may name by its id too; "default" is what they write for "bridge". A
/// network that does not exist is an error of the start.
std::string network_name(const Context& context, const std::string& reference) {
    const auto network = context.networks->find(reference);
    return network ? network->name : reference;
}

/// Afterwards every network of the container is named in `networking`, that of the mode too.
void normalise_networks(const Context& context, CreateContainer& request) {
    auto& mode = request.host.network_mode;
    if (mode.empty() || mode == "default") mode = "bridge";
    auto& endpoints = request.networking.endpoints;
    if (request.config.network_disabled) {
        mode = "none";
        endpoints.clear();
    }
    if (is_container_mode(mode)) return endpoints.clear();
    mode = network_name(context, mode);
    auto given = std::exchange(endpoints, {});
    for (auto& [reference, settings] : given)
        endpoints[network_name(context, reference)] = std::move(settings);
    auto& primary = endpoints[mode];
    // What clients write beside the networks means the network of the mode.
    const auto& mac = request.config.mac_address;
    if (!mac.empty() && mode != "none" && mode != "host") {
        if (!primary) primary.emplace();
        if (primary->mac_address.empty()) primary->mac_address = mac;
    }
    const auto& links = request.host.links;
    if (apitypes::items(links).empty()) return;
    if (!primary) primary.emplace();
    if (apitypes::items(primary->links).empty()) primary->links = links;
}

/// With host and none there is no other network, and nothing to say about this one.
Result<void> check_only_network(const CreateContainer& request) {
    const std::string& mode = request.host.network_mode;
    bool has_mac = !request.config.mac_address.empty();
    for (const auto& [network, settings] : request.networking.endpoints) {
        if (network != mode)
            return invalid(
                "container cannot be connected to multiple networks with one of the networks in "
                "{} mode",
                mode);
        has_mac = has_mac || (settings && !settings->mac_address.empty());
    }
    if (has_mac) return invalid("conflicting options: mac-address and the network mode");
    return {};
}

/// That the network or the container of a "container:" mode exists is looked up at start, as docker
/// does: its command takes "not found" at create for a missing image.
Result<void> check_network(const Context& context, const CreateContainer& request) {
    const auto& host = request.host;
    const std::string& mode = host.network_mode;
    if (is_container_mode(mode)) {
        if (!request.config.hostname.empty())
            return invalid("conflicting options: hostname and the network mode");
        if (!apitypes::items(host.links).empty())
            return invalid("conflicting options: container type network can't be used with links");
        if (!apitypes::items(host.dns).empty())
            return invalid("conflicting options: dns and the network mode");
        if (!apitypes::items(host.extra_hosts).empty())
            return invalid("conflicting options: custom host-to-IP mapping and the network mode");
        if (!apitypes::items(host.port_bindings).empty() || host.publish_all_ports)
            return invalid(
                "conflicting options: port publishing and the container type network mode");
    }
    const std::string& mac = request.config.mac_address;
    if (mode == "host" || mode == "none") TRY(check_only_network(request));
    for (const auto& [network, settings] : request.networking.endpoints)
        if (settings) {
            if (network == mode && !mac.empty() && settings->mac_address != mac)
                return invalid(
                    "the container-wide MAC address must match the endpoint-specific MAC address "
                    "for the main network, or be left empty");
            TRY(check_endpoint(network, *settings));
            TRY(links_of(context, &*settings));
        }
    TRY(network::check_resolv_conf({.nameservers = apitypes::items(host.dns),
                                    .search = apitypes::items(host.dns_search),
                                    .options = apitypes::items(host.dns_options)}));
    for (const auto& text : apitypes::items(host.extra_hosts))
        if (text.find(':') == std::string::npos && text.find('=') == std::string::npos)
            return invalid("bad format for add-host: \"{}\"", text);
    return {};
}

}  // namespace

Result<void> check_restart_policy(const apitypes::HostConfig& host) {
    const auto& policy = host.restart_policy;
    const bool known = policy.name.empty() || policy.name == "no" || policy.name == "always" ||
                       policy.name == "unless-stopped" || policy.name == "on-failure";
    if (!known)
        return invalid(
            "invalid restart policy: unknown policy '{}'; use one of 'no', 'always', 'on-failure', "
            "or 'unless-stopped'",
            policy.name);
    if (policy.maximum_retry_count < 0)
        return invalid("invalid restart policy: maximum retry count cannot be negative");
    if (policy.name != "on-failure" && policy.maximum_retry_count != 0)
        return invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'");
    if (host.auto_remove && !policy.name.empty() && policy.name != "no")
        return invalid("can't create 'AutoRemove' container with restart policy");
    return {};
}

namespace {

Result<void> check_log_config(apitypes::HostConfig& host, const Config& config) {
    auto& log = host.log_config;
    if (log.type.empty()) {
        log.type = config.log_driver;
        for (const auto& [key, value] : config.log_options) log.config.emplace(key, value);
    }
    if (log.type != "json-file" && log.type != "none")
        return invalid(
            "logger: no log driver named '{}' is registered: json-file and none are built in",
            log.type);
    for (const auto& [key, value] : log.config) {
        if (log.type == "none") break;
        if (key == "max-size") {
            if (TRY(parse_size(value, "max-size")) < 0 && value != "-1")
                return invalid("invalid max-size: {}", value);
        } else if (key == "max-file") {
            if (TRY(parse_integer(value, "max-file")) < 1)
                return invalid("max-file cannot be less than 1");
        } else {
            return invalid("unknown log opt '{}' for json-file log driver", key);
        }
    }
    return {};
}

Result<void> check_namespaces(const apitypes::HostConfig& host) {
    const auto check = [&](std::string_view what, const std::string& mode,
                           std::initializer_list<std::string_view> known) -> Result<void> {
        if (mode.empty() || std::ranges::find(known, mode) != known.end()) return {};
        const bool may_join = what == "IPC" || what == "PID";
        if (may_join && is_container_mode(mode) && !container_of_mode(mode).empty()) return {};
        return invalid("invalid {} mode: {}", what, mode);
    };
    TRY(check("IPC", host.ipc_mode, {"none", "private", "shareable", "host"}));
    TRY(check("PID", host.pid_mode, {"host"}));
    TRY(check("UTS", host.uts_mode, {"host"}));
    TRY(check("user", host.userns_mode, {"host"}));
    if (!host.cgroupns_mode.empty() && host.cgroupns_mode != "host" &&
        host.cgroupns_mode != "private")
        return invalid("invalid cgroup namespace mode: {}", host.cgroupns_mode);
    return {};
}

/// What this engine does not have is said by name instead of being ignored.
Result<void> check_built(const apitypes::HostConfig& host,
                         const apitypes::ContainerConfig& config) {
    if (!host.runtime.empty() && host.runtime != "runc" && host.runtime != "corten")
        return invalid("unknown or invalid runtime name: {}", host.runtime);
    if (!host.volume_driver.empty() && host.volume_driver != "local")
        return fail(ErrorKind::not_built,
                    "volume driver \"{}\" is not installed: only \"local\" is built in",
                    host.volume_driver);
    if (!host.isolation.empty() && host.isolation != "default")
        return invalid("invalid isolation '{}' on linux", host.isolation);
    if (!config.working_dir.empty() && !config.working_dir.starts_with('/'))
        return invalid("the working directory '{}' is invalid, it needs to be an absolute path",
                       config.working_dir);
    return {};
}

Result<void> check_health(const apitypes::ContainerConfig& config) {
    if (!config.healthcheck) return {};
    const auto& health = *config.healthcheck;
    for (const auto& [name, value] :
         {std::pair("Interval", health.interval), std::pair("Timeout", health.timeout),
          std::pair("StartPeriod", health.start_period),
          std::pair("StartInterval", health.start_interval)})
        if (value != 0 && value < 1'000'000)
            return invalid("{} in Healthcheck cannot be less than 1ms", name);
    if (health.retries < 0) return invalid("Retries in Healthcheck cannot be negative");
    if (health.test.empty()) return {};
    const std::string& kind = health.test[0];
    if (kind != "NONE" && kind != "CMD" && kind != "CMD-SHELL")
        return invalid("Unknown type '{}' in HEALTHCHECK (try CMD)", kind);
    return {};
}

/// What the host's own namespace cannot be given.
Result<void> check_uts(const apitypes::HostConfig& host, const apitypes::ContainerConfig& config) {
    if (host.uts_mode != "host") return {};
    if (!config.hostname.empty()) return invalid("conflicting options: hostname and the UTS mode");
    if (!config.domainname.empty())
        return invalid("conflicting options: domainname and the UTS mode");
    return {};
}

Result<void> check_config(apitypes::ContainerConfig& config) {
    for (const auto& entry : apitypes::items(config.env))
        if (entry.empty() || entry[0] == '=')
            return invalid("invalid environment variable: {}", entry);
    if (!config.stop_signal.empty()) TRY(parse_signal(config.stop_signal));
    if (!config.hostname.empty() &&
        (config.hostname.size() > 64 || !network::valid_host_name(config.hostname)))
        return invalid("invalid hostname format: {}", config.hostname);
    return check_health(config);
}

/// Every port specification is read now, so that a bad one is refused at create.
Result<void> check_ports(const ContainerSpec& spec) {
    TRY(port_requests(spec));
    return {};
}

struct ChosenImage {
    storage::Image record;
    oci::ImageConfig config;
    std::string warning;  ///< "" for none
};

/// Programs of another architecture run only where the host has an emulator for them.
std::string foreign_platform_warning(const oci::Platform& has) {
    const auto host = oci::host_platform();
    oci::Index offered;
    offered.manifests.push_back({.platform = has});
    if (has.architecture.empty() || oci::choose_platform(offered, host)) return {};
    return fmt::format(
        "The requested image's platform ({}) does not match the detected host platform ({}) and "
        "no specific platform was requested",
        oci::to_string(has), oci::to_string(host));
}

Result<ChosenImage> find_image(Context& context, const CreateContainer& request) {
    if (request.config.image.empty()) return invalid("no command specified: no image is named");
    const auto name = TRY(parse_image_name(request.config.image));
    const auto found = TRY(context.store->images().resolve(name));
    std::optional<oci::Platform> wanted;
    if (!request.platform.empty()) wanted = TRY(oci::parse_platform(request.platform));
    ChosenImage chosen{
        .record = TRY(image::image_for(*context.store, found, request.config.image, wanted)),
        .config = {},
        .warning = {}};
    const auto document = TRY(oci::parse_image(chosen.record.config));
    if (!wanted) chosen.warning = foreign_platform_warning(image::platform_of(document));
    if (document.config) chosen.config = *document.config;
    return chosen;
}

struct Planned {
    ContainerSpec spec;
    apitypes::Strings warnings;
};

/// A bind that shows the data root would otherwise hold all mounts in it, of other containers too,
/// after they are gone.
void fill_propagation(const Context& context, ContainerSpec& spec) {
    for (auto& mount : spec.mounts) {
        if (mount.type != "bind" || !mount.propagation.empty()) continue;
        const bool shows_ours =
            mount.source == "/" || (context.config.data_root + "/").starts_with(mount.source + "/");
        mount.propagation = shows_ours ? "rslave" : "rprivate";
    }
}

/// docker's defaults for what is left open.
void fill_host_defaults(Context& context, ContainerSpec& spec) {
    auto& host = spec.host;
    if (host.ipc_mode.empty()) host.ipc_mode = "private";
    if (host.shm_size == 0) host.shm_size = context.config.default_shm_size;
    if (host.cgroupns_mode.empty())
        host.cgroupns_mode =
            context.facts.cgroups.unified() && !host.privileged ? "private" : "host";
    if (host.runtime.empty()) host.runtime = "corten";
    if (!host.masked_paths && !host.privileged) host.masked_paths = default_masked_paths();
    if (!host.readonly_paths && !host.privileged) host.readonly_paths = default_readonly_paths();
    normalise_capabilities(host);
}

void fill_hostname(Context& context, ContainerSpec& spec) {
    auto& config = spec.config;
    const bool hosts_own = spec.host.network_mode == "host" || spec.host.uts_mode == "host";
    if (!config.hostname.empty()) return;
    config.hostname = hosts_own ? context.facts.hostname : std::string(short_id(spec.id));
}

/// A given name, or a made-up one that is free; the name is reserved on return.
Result<std::string> reserve_name(Context& context, const std::string& wanted,
                                 const std::string& id) {
    if (!wanted.empty()) {
        auto name = TRY(check_container_name(wanted));
        TRY(context.containers.reserve_name(name, id));
        return name;
    }
    constexpr int most_attempts = 6;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        auto name = made_up_name(attempt);
        if (context.containers.reserve_name(name, id)) return name;
    }
    std::string name(short_id(id));
    TRY(context.containers.reserve_name(name, id));
    return name;
}

Result<std::vector<PlannedMount>> mounts_of(Context& context, std::string_view ref) {
    auto container = context.containers.find(ref);
    // "not found" would make clients pull the image.
    if (!container) return std::move(container).error().with_kind(ErrorKind::invalid);
    return (*container)->spec()->mounts;
}

Result<void> check_bind_sources(const ContainerSpec& spec) {
    for (const auto& mount : spec.mounts)
        if (mount.type == "bind" && !mount.create_source && !sys::exists(mount.source))
            return invalid(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.source);
    return {};
}

Result<Planned> plan(Context& context, CreateContainer request, const std::string& id) {
    normalise_networks(context, request);
    ContainerSpec spec;
    spec.id = id;
    spec.created = unix_nanoseconds(now());
    const auto image = TRY(find_image(context, request));
    spec.image = request.config.image;
    spec.image_id = image.record.id;
    spec.chain_id = image.record.chain_id;
    TRY(check_network(context, request));
    spec.config = std::move(request.config);
    spec.host = std::move(request.host);
    spec.networking = std::move(request.networking);
    apply_image_defaults(spec.config, image.config);
    TRY(check_config(spec.config));
    TRY(check_built(spec.host, spec.config));
    TRY(check_restart_policy(spec.host));
    TRY(check_log_config(spec.host, context.config));
    TRY(check_namespaces(spec.host));
    TRY(check_uts(spec.host, spec.config));
    TRY(check_limits(spec.host, context.facts));
    TRY(check_security_modules(TRY(parse_security_options(spec.host)), context.facts));
    TRY(capabilities_of(spec.host, context.facts));
    TRY(posix_rlimits(apitypes::items(spec.host.ulimits)));
    TRY(check_ports(spec));
    const auto command = TRY(command_of(spec.config));
    spec.path = command.path;
    spec.args = command.args;
    spec.mounts = TRY(plan_mounts(
        spec.config, spec.host, [&](std::string_view ref) { return mounts_of(context, ref); },
        request.read_only_binds));
    TRY(check_bind_sources(spec));
    fill_propagation(context, spec);
    fill_host_defaults(context, spec);
    fill_hostname(context, spec);
    Planned planned{.spec = std::move(spec), .warnings = {}};
    if (!image.warning.empty()) planned.warnings.push_back(image.warning);
    const auto& host = planned.spec.host;
    if (host.network_mode == "host" && !apitypes::items(host.port_bindings).empty())
        planned.warnings.emplace_back("Published ports are discarded when using host network mode");
    return planned;
}

/// The container's own, empty layer.
Result<void> make_snapshot(Context& context, const ContainerSpec& spec) {
    const std::uint64_t most = TRY(storage_limit(spec.host));
    auto made = context.store->snapshots().prepare(spec.id, spec.chain_id, {.most_bytes = most});
    return most == 0 ? std::move(made) : std::move(made).context("--storage-opt size");
}

}  // namespace

Result<apitypes::CreateReply> create_container(Context& context, CreateContainer request) {
    const std::string id = random_id();
    const std::string wanted_name = request.name;
    if (!wanted_name.empty()) TRY(check_container_name(wanted_name));
    auto [spec, warnings] = TRY(plan(context, std::move(request), id));
    spec.name = TRY(reserve_name(context, wanted_name, id));
    Rollback undo;
    undo.add([&] { context.containers.release_name(spec.name, id); });
    TRY(sys::make_directories(context.files_of(id), 0710));
    undo.add([&] { sys::remove_tree(context.files_of(id)).ignore(); });
    TRY(make_snapshot(context, spec));
    undo.add([&] { context.store->snapshots().remove(id).ignore(); });
    const auto volumes = TRY(create_volumes(context, spec));
    undo.add([&] {
        for (const auto& volume : volumes) context.volumes.remove(volume).ignore();
    });
    // Nobody else asks, and it is a write.
    if (context.config.image_gc.high != 0) TRY(context.store->images().note_use(spec.image_id));
    const ContainerState state;
    TRY(context.container_store.insert(spec, state));
    undo.commit();
    const auto container = std::make_shared<Container>(std::move(spec), state);
    context.containers.insert(container);
    publish_container_event(context, *container->spec(), "create");
    return apitypes::CreateReply{.id = id, .warnings = std::move(warnings)};
}

Result<void> check_defaults(const Config& config) {
    apitypes::HostConfig says_nothing;
    TRY(check_log_config(says_nothing, config).context("the daemon's log driver"));
    std::vector<apitypes::Ulimit> limits;
    limits.reserve(config.default_ulimits.size());
    for (const auto& [name, limit] : config.default_ulimits)
        limits.push_back({.name = name, .hard = limit.hard, .soft = limit.soft});
    TRY(posix_rlimits(limits).context("the daemon's default ulimits"));
    return {};
}

}  // namespace corten::engine
