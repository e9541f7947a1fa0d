#include "network_attach.hpp"

#include "mount_sources.hpp"
#include "spec_builder.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <network/etc_files.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <set>

namespace corten::engine {

namespace {

struct PortKey {
    std::uint16_t port = 0;
    std::string protocol;
};

/// "80/tcp", or "80".
Result<PortKey> parse_port_key(std::string_view text) {
    const auto [number, protocol] = split_once(text, '/');
    const auto port = TRY(parse_integer(number, "port"));
    if (port < 1 || port > 65535)
        return fail(ErrorKind::invalid, "invalid port specification: \"{}\"", text);
    PortKey key{.port = static_cast<std::uint16_t>(port),
                .protocol = protocol.empty() ? "tcp" : to_lower(protocol)};
    if (key.protocol != "tcp" && key.protocol != "udp" && key.protocol != "sctp")
        return fail(ErrorKind::invalid, "invalid protocol: {}", protocol);
    return key;
}

Result<network::PortRequest> request_of(const PortKey& key, const apitypes::PortBinding& binding) {
    network::PortRequest out;
    out.protocol = key.protocol;
    out.container_port = key.port;
    out.host_ip = binding.host_ip;
    if (binding.host_port.empty()) return out;
    const auto [first, last] = split_once(binding.host_port, '-');
    for (const auto& [text, target] :
         {std::pair(first, &out.host_port_first), std::pair(last, &out.host_port_last)}) {
        if (text.empty()) continue;
        const auto number = TRY(parse_integer(text, "host port"));
        if (number < 0 || number > 65535)
            return fail(ErrorKind::invalid, "invalid port specification: \"{}\"",
                        binding.host_port);
        *target = static_cast<std::uint16_t>(number);
    }
    return out;
}

}  // namespace

Result<std::vector<network::PortRequest>> port_requests(const ContainerSpec& spec) {
    std::vector<network::PortRequest> out;
    std::set<std::pair<int, std::string>> bound;
    for (const auto& [text, bindings] : apitypes::items(spec.host.port_bindings)) {
        const PortKey key = TRY(parse_port_key(text));
        bound.emplace(key.port, key.protocol);
        // An empty list is one ephemeral binding.
        const std::vector<apitypes::PortBinding> ephemeral(1);
        const auto& list = bindings && !bindings->empty() ? *bindings : ephemeral;
        for (const auto& binding : list) out.push_back(TRY(request_of(key, binding)));
    }
    if (!spec.host.publish_all_ports) return out;
    for (const auto& [text, unused] : spec.config.exposed_ports) {
        const PortKey key = TRY(parse_port_key(text));
        if (!bound.contains({key.port, key.protocol})) out.push_back(TRY(request_of(key, {})));
    }
    return out;
}

namespace {

network::EndpointRequest endpoint_request(const ContainerSpec& spec, const std::string& network) {
    network::EndpointRequest request;
    request.container_id = spec.id;
    request.network = network;
    const auto at = spec.networking.endpoints.find(network);
    if (at != spec.networking.endpoints.end() && at->second) {
        request.mac = at->second->mac_address;
        if (at->second->ipam_config) request.ip = at->second->ipam_config->ipv4_address;
    }
    if (request.mac.empty()) request.mac = spec.config.mac_address;
    return request;
}

Result<JoinedNetworks> enter_bridge(Context& context, const ContainerSpec& spec) {
    const std::string& mode = spec.host.network_mode;
    auto sandbox = TRY(context.networks->acquire(endpoint_request(spec, mode)));
    JoinedNetworks joined{.network_namespace = std::move(sandbox.network_namespace),
                          .endpoints = std::move(sandbox.endpoints)};
    Rollback undo;
    undo.add([&] { leave_networks(context, spec, joined.endpoints); });
    int interface = 1;
    for (const auto& [name, settings] : spec.networking.endpoints) {
        if (name == mode) continue;
        auto request = endpoint_request(spec, name);
        request.interface = fmt::format("eth{}", interface++);
        joined.endpoints.push_back(
            TRY(context.networks->connect(request, joined.network_namespace)));
    }
    const auto ports = TRY(port_requests(spec));
    if (!ports.empty() && !joined.endpoints.empty())
        TRY(context.networks->publish(joined.endpoints.front(), spec.name, ports));
    undo.commit();
    return joined;
}

}  // namespace

Result<JoinedNetworks> enter_networks(Context& context, const ContainerSpec& spec) {
    const std::string& mode = spec.host.network_mode;
    if (mode == "host") return JoinedNetworks{};
    if (is_container_mode(mode)) {
        const auto other = TRY(running_container(context, container_of_mode(mode)));
        return JoinedNetworks{.network_namespace = TRY(open_namespace(*other, "net")),
                              .endpoints = {}};
    }
    return enter_bridge(context, spec);
}

void leave_networks(Context& context, const ContainerSpec& spec,
                    const std::vector<network::Endpoint>& endpoints) {
    (void)spec;
    for (const auto& endpoint : endpoints) context.networks->release(endpoint);
}

namespace {

Result<std::string> hosts_text(Context& context, const ContainerSpec& spec,
                               const std::vector<network::Endpoint>& endpoints) {
    const auto& extra = apitypes::items(spec.host.extra_hosts);
    if (spec.host.network_mode == "host")
        return TRY(sys::read_file("/etc/hosts")) +
               TRY(network::extra_host_lines(extra, context.networks->host_gateway()));
    network::HostsFile file;
    file.hostname = spec.config.hostname;
    file.domain = spec.config.domainname;
    for (const auto& endpoint : endpoints) file.addresses.push_back(endpoint.ip);
    file.extra_hosts = extra;
    file.host_gateway = context.networks->host_gateway();
    return network::hosts_file(file);
}

/// The user's list, else the daemon's.
std::vector<std::string> or_default(const apitypes::StringList& user,
                                    const std::vector<std::string>& daemon) {
    const auto& list = apitypes::items(user);
    return list.empty() ? daemon : list;
}

std::string resolver_text(Context& context, const ContainerSpec& spec) {
    const auto etc =
        sys::read_file("/etc/resolv.conf").value_or("");  // a host without one has no servers
    const auto host_file = sys::read_file(network::host_resolv_conf_path(etc)).value_or("");
    network::ResolvConf user;
    user.nameservers = or_default(spec.host.dns, context.config.dns);
    user.search = or_default(spec.host.dns_search, context.config.dns_search);
    user.options = or_default(spec.host.dns_options, context.config.dns_options);
    if (spec.host.network_mode == "host") return network::resolv_conf_host_network(host_file, user);
    return network::resolv_conf(host_file, user);
}

/// Another container's network brings its files along.
Result<void> copy_network_files(Context& context, const ContainerSpec& spec) {
    const auto other = TRY(context.containers.find(container_of_mode(spec.host.network_mode)));
    for (const char* name : {"/hosts", "/resolv.conf", "/hostname"}) {
        const std::string text = TRY(sys::read_file(context.files_of(other->id()) + name));
        TRY(sys::write_file_atomic(context.files_of(spec.id) + name, text));
    }
    return {};
}

}  // namespace

Result<void> write_network_files(Context& context, const ContainerSpec& spec,
                                 const std::vector<network::Endpoint>& endpoints) {
    if (is_container_mode(spec.host.network_mode)) return copy_network_files(context, spec);
    const std::string files = context.files_of(spec.id);
    TRY(sys::write_file_atomic(files + "/hostname", spec.config.hostname + "\n"));
    TRY(sys::write_file_atomic(files + "/hosts", TRY(hosts_text(context, spec, endpoints))));
    // Written once: what somebody changed in it since is kept.
    if (!sys::exists(files + "/resolv.conf"))
        TRY(sys::write_file_atomic(files + "/resolv.conf", resolver_text(context, spec)));
    return {};
}

}  // namespace corten::engine
