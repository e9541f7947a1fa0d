#include "network_attach.hpp"

#include "mount_sources.hpp"
#include "network_files.hpp"
#include "spec_builder.hpp"
#include "state_change.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>

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
    if (out.host_ip.find(':') != std::string::npos)
        return fail(ErrorKind::not_built,
                    "publish on {} is not implemented: networks have IPv4 addresses", out.host_ip);
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

bool has_name_server(const network::Endpoint& endpoint) {
    return !network::is_predefined(endpoint.network_name);
}

namespace {

/// For a container on no network: loopback alone.
Result<JoinedNetworks> enter_loopback(Context& context, const ContainerSpec& spec) {
    network::EndpointRequest request;
    request.container_id = spec.id;
    request.network = "none";
    auto sandbox = TRY(context.networks->acquire(request));
    return JoinedNetworks{.network_namespace = std::move(sandbox.network_namespace),
                          .endpoints = {}};
}

Result<JoinedNetworks> enter_first(Context& context, const ContainerSpec& spec,
                                   const std::string& network) {
    auto sandbox =
        TRY(context.networks->acquire(TRY(endpoint_request(context, spec, network, "eth0"))));
    return JoinedNetworks{.network_namespace = std::move(sandbox.network_namespace),
                          .endpoints = std::move(sandbox.endpoints)};
}

/// The network of --network first, so that its interface is eth0.
std::vector<std::string> networks_in_order(const ContainerSpec& spec) {
    std::vector<std::string> order;
    for (const auto& [name, settings] : spec.networking.endpoints)
        if (name != "none") order.push_back(name);
    const auto first = std::ranges::find(order, spec.host.network_mode);
    if (first != order.end()) std::rotate(order.begin(), first, first + 1);
    return order;
}

Result<JoinedNetworks> enter_bridges(Context& context, const ContainerSpec& spec) {
    const auto order = networks_in_order(spec);
    JoinedNetworks joined = order.empty() ? TRY(enter_loopback(context, spec))
                                          : TRY(enter_first(context, spec, order.front()));
    Rollback undo;
    undo.add([&] { leave_networks(context, joined.endpoints); });
    for (std::size_t i = 1; i < order.size(); ++i)
        joined.endpoints.push_back(TRY(context.networks->connect(
            TRY(endpoint_request(context, spec, order[i], fmt::format("eth{}", i))),
            joined.network_namespace)));
    TRY(serve_names(context, spec, joined.endpoints, joined.network_namespace));
    TRY(publish_ports(context, spec, joined.endpoints));
    undo.commit();
    return joined;
}

Result<void> check_addresses(const std::string& network,
                             const apitypes::EndpointIpamConfig& wanted) {
    if (!wanted.link_local_ips.empty())
        return fail(ErrorKind::not_built, "--link-local-ip is not implemented");
    if (wanted.ipv4_address.empty() && wanted.ipv6_address.empty()) return {};
    if (network::is_predefined(network))
        return fail(ErrorKind::invalid,
                    "invalid config for network {}: invalid endpoint settings: user specified IP "
                    "address is supported on user defined networks only",
                    network);
    if (!wanted.ipv6_address.empty())
        return fail(ErrorKind::not_built, "--ip6 is not implemented: networks have IPv4 addresses");
    return {};
}

}  // namespace

const apitypes::EndpointSettings* settings_on(const ContainerSpec& spec,
                                              const std::string& network) {
    const auto at = spec.networking.endpoints.find(network);
    return at != spec.networking.endpoints.end() && at->second ? &*at->second : nullptr;
}

Result<std::vector<network::PrivateName>> links_of(const Context& context,
                                                   const apitypes::EndpointSettings* settings) {
    std::vector<network::PrivateName> out;
    if (!settings) return out;
    for (const auto& text : apitypes::items(settings->links)) {
        const auto [target, alias] = split_once(text, ':');
        const auto other = context.containers.find(target);
        if (!other) return fail(ErrorKind::invalid, "cannot link to {}: no such container", target);
        out.push_back({std::string(alias.empty() ? target : alias), (*other)->id()});
    }
    return out;
}

Result<network::EndpointRequest> endpoint_request(const Context& context, const ContainerSpec& spec,
                                                  const std::string& network,
                                                  std::string interface) {
    network::EndpointRequest request;
    request.container_id = spec.id;
    request.network = network;
    request.interface = std::move(interface);
    const auto* settings = settings_on(spec, network);
    if (settings) {
        request.mac = settings->mac_address;
        if (settings->ipam_config) request.ip = settings->ipam_config->ipv4_address;
    }
    if (request.mac.empty() && network == spec.host.network_mode)
        request.mac = spec.config.mac_address;
    if (network::is_predefined(network)) return request;
    request.names = dns_names(spec, settings);
    request.links = TRY(links_of(context, settings));
    return request;
}

std::vector<std::string> dns_names(const ContainerSpec& spec,
                                   const apitypes::EndpointSettings* settings) {
    std::vector<std::string> names{spec.name};
    const auto add = [&](const std::string& name) {
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    if (settings)
        for (const auto& alias : apitypes::items(settings->aliases)) add(alias);
    add(std::string(short_id(spec.id)));
    add(spec.config.hostname);
    return names;
}

Result<void> publish_ports(Context& context, const ContainerSpec& spec,
                           std::vector<network::Endpoint>& endpoints) {
    const auto ports = TRY(port_requests(spec));
    const bool published = std::ranges::any_of(
        endpoints, [](const auto& endpoint) { return !endpoint.ports.empty(); });
    if (ports.empty() || published || endpoints.empty()) return {};
    return context.networks->publish(endpoints.front(), spec.name, ports);
}

Result<void> serve_names(Context& context, const ContainerSpec& spec,
                         const std::vector<network::Endpoint>& endpoints,
                         FdView network_namespace) {
    if (std::ranges::none_of(endpoints, has_name_server)) return {};
    return context.networks->serve_names(spec.id, network_namespace,
                                         upstreams_of(context, spec, endpoints));
}

Result<JoinedNetworks> enter_networks(Context& context, const ContainerSpec& spec) {
    const std::string& mode = spec.host.network_mode;
    if (mode == "host") return JoinedNetworks{};
    if (is_container_mode(mode)) {
        const auto other = TRY(running_container(context, container_of_mode(mode)));
        return JoinedNetworks{.network_namespace = TRY(open_namespace(*other, "net")),
                              .endpoints = {}};
    }
    return enter_bridges(context, spec);
}

void leave_networks(Context& context, const std::vector<network::Endpoint>& endpoints) {
    for (const auto& endpoint : endpoints) context.networks->release(endpoint);
}

void publish_network_events(Context& context, const std::string& action, const ContainerSpec& spec,
                            const std::vector<network::Endpoint>& endpoints) {
    for (const auto& endpoint : endpoints)
        if (const auto network = context.networks->find(endpoint.network_id))
            publish_network_event(context, action, *network, spec.id);
    const std::string& mode = spec.host.network_mode;
    if (endpoints.empty() && (mode == "host" || mode == "none"))
        if (const auto network = context.networks->find(mode))
            publish_network_event(context, action, *network, spec.id);
}

Result<void> rename_endpoints(Context& context, Container& container) {
    const auto spec = container.spec();
    TRY(change_and_keep(context.container_store, container, [&](ContainerState& state) {
        for (auto& endpoint : state.endpoints)
            if (has_name_server(endpoint))
                endpoint.names = dns_names(*spec, settings_on(*spec, endpoint.network_name));
    }));
    for (const auto& endpoint : container.state().endpoints)
        if (has_name_server(endpoint)) context.networks->set_names(endpoint.id, endpoint.names);
    return {};
}

Result<void> check_endpoint(const std::string& network, const apitypes::EndpointSettings& wanted) {
    if (network::is_predefined(network) && !apitypes::items(wanted.links).empty())
        return fail(ErrorKind::not_built,
                    "links on network {} are not implemented: use a network of your own", network);
    if (network::is_predefined(network) && !apitypes::items(wanted.aliases).empty())
        return fail(ErrorKind::invalid,
                    "network-scoped alias is supported only for containers in user defined "
                    "networks");
    for (const auto& [name, value] : apitypes::items(wanted.driver_opts))
        return fail(ErrorKind::not_built, "the endpoint's driver option {} is not implemented",
                    name);
    if (wanted.gw_priority != 0)
        return fail(ErrorKind::not_built, "gw-priority is not implemented");
    return wanted.ipam_config ? check_addresses(network, *wanted.ipam_config) : Result<void>();
}

}  // namespace corten::engine
