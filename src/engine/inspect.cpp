// What GET /containers/{id}/json shows.
#include "network_attach.hpp"
#include "network_files.hpp"
#include "rendering.hpp"
#include "security.hpp"
#include "spec_builder.hpp"

#include <base/ids.hpp>
#include <engine/containers.hpp>

namespace corten::engine {

namespace {

WallTime wall(std::int64_t nanoseconds) {
    return WallTime(std::chrono::nanoseconds(nanoseconds));
}

apitypes::MountPoint mount_point(const Context& context, const PlannedMount& mount) {
    apitypes::MountPoint out;
    out.type = mount.type;
    out.destination = mount.target;
    out.mode = mount.mode;
    out.rw = !mount.read_only;
    out.propagation = mount.propagation;
    if (mount.type == "volume") {
        out.name = mount.name;
        out.driver = "local";
        out.source = context.volumes.mountpoint(mount.name);
    } else {
        out.source = mount.source;
    }
    return out;
}

apitypes::ContainerState render_state(const ContainerState& state) {
    apitypes::ContainerState out;
    out.status = state.status;
    out.running = state.counts_as_running();
    out.paused = state.status == "paused";
    out.restarting = state.status == "restarting";
    out.oom_killed = state.oom_killed;
    out.dead = state.status == "dead";
    out.pid = state.pid;
    out.exit_code = state.exit_code;
    out.error = state.error;
    out.started_at = rfc3339(wall(state.started_at));
    out.finished_at = rfc3339(wall(state.finished_at));
    if (state.health.status.empty()) return out;
    apitypes::Health health{
        .status = state.health.status, .failing_streak = state.health.failing_streak, .log = {}};
    for (const auto& probe : state.health.log)
        health.log.push_back({.start = rfc3339(wall(probe.start)),
                              .end = rfc3339(wall(probe.end)),
                              .exit_code = probe.exit_code,
                              .output = probe.output});
    out.health = std::move(health);
    return out;
}

apitypes::NetworkSettings render_network(const Context& context, const ContainerSpec& spec,
                                         const ContainerState& state) {
    apitypes::NetworkSettings out;
    out.sandbox_id = state.sandbox_id;
    if (state.pid != 0) out.sandbox_key = fmt::format("/proc/{}/ns/net", state.pid);
    if (state.is_running()) out.ports = port_map(spec, state);
    out.networks = endpoint_settings(context, spec, state);
    // These repeat what the default bridge has; clients before 1.52 read them here.
    if (const auto bridge = out.networks.find("bridge");
        bridge != out.networks.end() && bridge->second) {
        out.endpoint_id = bridge->second->endpoint_id;
        out.gateway = bridge->second->gateway;
        out.ip_address = bridge->second->ip_address;
        out.ip_prefix_len = bridge->second->ip_prefix_len;
        out.mac_address = bridge->second->mac_address;
    }
    return out;
}

}  // namespace

std::vector<apitypes::MountPoint> mount_points(const Context& context, const ContainerSpec& spec) {
    std::vector<apitypes::MountPoint> out;
    // A --tmpfs is shown in HostConfig only, a --mount of that type here too.
    for (const auto& mount : spec.mounts)
        if (!spec.host.tmpfs.contains(mount.target)) out.push_back(mount_point(context, mount));
    return out;
}

apitypes::GraphDriver graph_driver(const Context& context, const storage::Places& places) {
    apitypes::GraphDriver out{.data = {}, .name = std::string(context.store->driver().name())};
    auto& data = out.data.emplace();
    if (!places.lower.empty()) data["LowerDir"] = fmt::format("{}", fmt::join(places.lower, ":"));
    if (!places.upper.empty()) data["UpperDir"] = places.upper;
    if (!places.work.empty()) data["WorkDir"] = places.work;
    return out;
}

apitypes::PortMap port_map(const ContainerSpec& spec, const ContainerState& state) {
    apitypes::PortMap map;
    for (const auto& [port, unused] : spec.config.exposed_ports)
        map[port.find('/') == std::string::npos ? port + "/tcp" : port];
    for (const auto& endpoint : state.endpoints)
        for (const auto& port : endpoint.ports) {
            auto& bindings = map[fmt::format("{}/{}", port.container_port, port.protocol)];
            if (!bindings) bindings.emplace();
            bindings->push_back(
                {.host_ip = port.host_ip, .host_port = std::to_string(port.host_port)});
        }
    return map;
}

std::map<std::string, std::optional<apitypes::EndpointSettings>> endpoint_settings(
    const Context& context, const ContainerSpec& spec, const ContainerState& state) {
    std::map<std::string, std::optional<apitypes::EndpointSettings>> out;
    for (const auto& [name, asked] : spec.networking.endpoints) {
        auto& settings = out[name].emplace(asked.value_or(apitypes::EndpointSettings{}));
        const auto network = context.networks->find(name);
        if (!network) continue;
        settings.network_id = network->id;
        if (!network::is_predefined(name)) settings.dns_names = dns_names(spec, &settings);
    }
    for (const auto& endpoint : state.endpoints) {
        auto& settings = out[endpoint.network_name];
        if (!settings) settings.emplace();
        settings->network_id = endpoint.network_id;
        settings->endpoint_id = endpoint.id;
        settings->gateway = endpoint.gateway;
        settings->ip_address = endpoint.ip;
        settings->ip_prefix_len = static_cast<int>(endpoint.prefix);
        settings->mac_address = endpoint.mac;
    }
    return out;
}

Result<apitypes::ContainerInspect> Containers::inspect(std::string_view ref, bool size) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto spec = container->spec();
    const auto state = container->state();
    apitypes::ContainerInspect out;
    out.id = spec->id;
    out.created = rfc3339(wall(spec->created));
    out.path = spec->path;
    out.args = spec->args;
    out.state = render_state(state);
    out.image = spec->image_id;
    // Those of another container may be gone with it.
    const auto files = network_files_of(context_, *spec).value_or(context_.files_of(spec->id));
    out.resolv_conf_path = files + "/resolv.conf";
    out.hostname_path = files + "/hostname";
    out.hosts_path = files + "/hosts";
    out.log_path = spec->host.log_config.type == "none" ? "" : context_.log_of(spec->id);
    out.name = "/" + spec->name;
    out.restart_count = state.restart_count;
    out.driver = context_.store->driver().name();
    out.platform = "linux";
    out.app_armor_profile = apparmor_profile(TRY(parse_security_options(spec->host)),
                                             spec->host.privileged, context_.facts);
    if (const auto execs = container->execs(); !execs.empty()) out.exec_ids = execs;
    out.host_config = spec->host;
    out.graph_driver = graph_driver(context_, TRY(context_.store->snapshots().places(spec->id)));
    // The root is in no mount table; this way leads into it while the container runs.
    if (state.pid != 0)
        (*out.graph_driver.data)["MergedDir"] = fmt::format("/proc/{}/root", state.pid);
    if (size) {
        const auto usage = TRY(context_.store->snapshots().usage(spec->id));
        out.size_rw = static_cast<std::int64_t>(usage.bytes);
        out.size_root_fs =
            *out.size_rw +
            static_cast<std::int64_t>(TRY(context_.store->snapshots().parent_size(spec->id)));
    }
    out.mounts = mount_points(context_, *spec);
    out.config = spec->config;
    out.network_settings = render_network(context_, *spec, state);
    return out;
}

}  // namespace corten::engine
