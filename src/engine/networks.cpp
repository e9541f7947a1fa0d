#include "context.hpp"
#include "filters.hpp"
#include "mount_sources.hpp"

#include <base/text.hpp>
#include <engine/networks.hpp>

#include <algorithm>
#include <array>

namespace corten::engine {

namespace {

constexpr std::array filter_keys = {"dangling", "driver", "id", "label", "name", "scope", "type"};

bool is_predefined(const network::Network& network) {
    return network.name == "bridge" || network.name == "host" || network.name == "none";
}

/// The containers that are on a network now.
std::map<std::string, apitypes::NetworkContainer> members(const Context& context,
                                                          const std::string& network_id) {
    std::map<std::string, apitypes::NetworkContainer> out;
    for (const auto& container : context.containers.all())
        for (const auto& endpoint : container->state().endpoints)
            if (endpoint.network_id == network_id)
                out[container->id()] = {
                    .name = container->name(),
                    .endpoint_id = endpoint.id,
                    .mac_address = endpoint.mac,
                    .ipv4_address = fmt::format("{}/{}", endpoint.ip, endpoint.prefix),
                    .ipv6_address = {}};
    return out;
}

apitypes::NetworkInspect render(const network::Network& network) {
    apitypes::NetworkInspect out;
    out.name = network.name;
    out.id = network.id;
    out.created = network.created;
    out.driver = network.driver;
    std::vector<apitypes::IpamPool> pools;
    if (!network.subnet.empty())
        pools.push_back({.subnet = network.subnet,
                         .ip_range = network.ip_range,
                         .gateway = network.gateway,
                         .aux_addresses = {}});
    if (network.driver != "null" && network.driver != "host") out.ipam.config = std::move(pools);
    out.internal = network.internal;
    out.attachable = network.attachable;
    out.options = network.options;
    out.labels = network.labels;
    return out;
}

bool matches_one(const network::Network& network, bool used, const std::string& key,
                 const std::string& value) {
    if (key == "id") return network.id.starts_with(value);
    if (key == "name") return network.name.find(value) != std::string::npos;
    if (key == "driver") return network.driver == value;
    if (key == "scope") return value == "local";
    if (key == "label") return label_matches(network.labels, value);
    if (key == "type") return value == (is_predefined(network) ? "builtin" : "custom");
    return is_true(value) == (!used && !is_predefined(network));  // dangling
}

bool matches(const network::Network& network, bool used, const Filters& filters) {
    return std::ranges::all_of(filters, [&](const auto& filter) {
        const auto one = [&](const std::string& value) {
            return matches_one(network, used, filter.first, value);
        };
        return filter.first == "label" ? std::ranges::all_of(filter.second, one)
                                       : std::ranges::any_of(filter.second, one);
    });
}

void publish(Context& context, std::string action, const network::Network& network) {
    context.events.publish(make_event("network", std::move(action), network.id,
                                      {{"name", network.name}, {"type", network.driver}}));
}

}  // namespace

Networks::Networks(Context& context) : context_(context) {}

Result<std::vector<apitypes::NetworkInspect>> Networks::list(const Filters& filters) const {
    TRY(check_filter_keys(filters, filter_keys));
    std::vector<apitypes::NetworkInspect> out;
    for (const auto& network : context_.networks->list())
        if (matches(network, !members(context_, network.id).empty(), filters))
            out.push_back(render(network));
    return out;
}

Result<apitypes::NetworkInspect> Networks::inspect(std::string_view ref) const {
    const auto network = TRY(context_.networks->find(ref));
    auto out = render(network);
    out.containers = members(context_, network.id);
    return out;
}

Result<apitypes::NetworkCreateReply> Networks::create(
    const apitypes::NetworkCreateRequest& request) {
    if (request.enable_ipv6.value_or(false))
        return fail(ErrorKind::not_built, "IPv6 networks are not implemented");
    if (!request.driver.empty() && request.driver != "bridge" && request.driver != "default")
        return fail(ErrorKind::not_built, "network driver \"{}\" is not implemented: bridge is",
                    request.driver);
    network::Network wanted;
    wanted.name = request.name;
    wanted.driver = "bridge";
    wanted.internal = request.internal;
    wanted.attachable = request.attachable;
    wanted.options = apitypes::items(request.options);
    wanted.labels = apitypes::items(request.labels);
    if (request.ipam && request.ipam->config && !request.ipam->config->empty()) {
        const auto& pool = request.ipam->config->front();
        wanted.subnet = pool.subnet;
        wanted.gateway = pool.gateway;
        wanted.ip_range = pool.ip_range;
    }
    const auto made = TRY(context_.networks->create_network(std::move(wanted)));
    if (const auto kept = context_.network_store.put(made); !kept) {
        context_.networks->remove_network(made.id).ignore();  // the first error counts
        return kept.error();
    }
    publish(context_, "create", made);
    return apitypes::NetworkCreateReply{.id = made.id, .warning = {}};
}

Result<void> Networks::remove(std::string_view ref) {
    const auto network = TRY(context_.networks->find(ref));
    TRY(context_.networks->remove_network(network.id));
    TRY(context_.network_store.remove(network.id));
    publish(context_, "destroy", network);
    return {};
}

Result<void> Networks::connect(std::string_view ref,
                               const apitypes::NetworkConnectRequest& request) {
    const auto network = TRY(context_.networks->find(ref));
    const auto container = TRY(context_.containers.find(request.container));
    std::lock_guard operation(container->operation());
    ContainerSpec spec = *container->spec();
    if (spec.networking.endpoints.contains(network.name) || spec.host.network_mode == network.name)
        return fail(ErrorKind::forbidden, "endpoint with name {} already exists in network {}",
                    spec.name, network.name);
    spec.networking.endpoints[network.name] = request.endpoint_config;
    if (container->state().is_running()) {
        network::EndpointRequest wanted{
            .container_id = spec.id, .network = network.id, .ip = {}, .mac = {}, .interface = {}};
        if (request.endpoint_config && request.endpoint_config->ipam_config)
            wanted.ip = request.endpoint_config->ipam_config->ipv4_address;
        wanted.interface = fmt::format("eth{}", container->state().endpoints.size());
        const Fd inside = TRY(open_namespace(*container, "net"));
        const auto endpoint = TRY(context_.networks->connect(wanted, inside));
        container->change_state(
            [&](ContainerState& state) { state.endpoints.push_back(endpoint); });
        TRY(context_.container_store.update_state(spec.id, container->state()));
    }
    TRY(context_.container_store.update_spec(spec));
    container->replace_spec(std::move(spec));
    context_.events.publish(make_event(
        "network", "connect", network.id,
        {{"container", container->id()}, {"name", network.name}, {"type", network.driver}}));
    return {};
}

Result<void> Networks::disconnect(std::string_view ref,
                                  const apitypes::NetworkDisconnectRequest& request) {
    const auto network = TRY(context_.networks->find(ref));
    const auto container = TRY(context_.containers.find(request.container));
    std::lock_guard operation(container->operation());
    ContainerSpec spec = *container->spec();
    if (spec.networking.endpoints.erase(network.name) == 0)
        return fail(ErrorKind::forbidden, "container {} is not connected to network {}", spec.id,
                    network.name);
    if (spec.host.network_mode == network.name) spec.host.network_mode = "none";
    for (const auto& endpoint : container->state().endpoints)
        if (endpoint.network_id == network.id) context_.networks->release(endpoint);
    container->change_state([&](ContainerState& state) {
        std::erase_if(state.endpoints,
                      [&](const auto& endpoint) { return endpoint.network_id == network.id; });
    });
    TRY(context_.container_store.update_state(spec.id, container->state()));
    TRY(context_.container_store.update_spec(spec));
    container->replace_spec(std::move(spec));
    context_.events.publish(make_event(
        "network", "disconnect", network.id,
        {{"container", container->id()}, {"name", network.name}, {"type", network.driver}}));
    return {};
}

Result<apitypes::NetworksPruned> Networks::prune(const Filters& filters) {
    constexpr std::array known = {"label", "label!", "until"};
    TRY(check_filter_keys(filters, known));
    std::unique_lock prune(context_.prune, std::try_to_lock);
    if (!prune) return fail(ErrorKind::conflict, "a prune operation is already running");
    apitypes::NetworksPruned pruned;
    for (const auto& network : context_.networks->list()) {
        if (is_predefined(network)) continue;
        const auto labels = filters.find("label");
        if (labels != filters.end() && !std::ranges::all_of(labels->second, [&](const auto& l) {
                return label_matches(network.labels, l);
            }))
            continue;
        if (!remove(network.id)) continue;  // in use
        if (!pruned.networks_deleted) pruned.networks_deleted.emplace();
        pruned.networks_deleted->push_back(network.name);
    }
    return pruned;
}

}  // namespace corten::engine
