// Containers that join and leave networks, also while they run.
#include "context.hpp"
#include "mount_sources.hpp"
#include "network_attach.hpp"
#include "network_files.hpp"
#include "spec_builder.hpp"
#include "state_change.hpp"

#include <base/rollback.hpp>
#include <engine/networks.hpp>

#include <algorithm>
#include <set>

namespace corten::engine {

namespace {

using Endpoints = std::vector<network::Endpoint>;

Result<void> check_connectable(const ContainerSpec& spec, const network::Network& network) {
    const std::string& mode = spec.host.network_mode;
    if (mode == "host" || is_container_mode(mode))
        return fail(ErrorKind::forbidden,
                    "container sharing network namespace with another container or host cannot be "
                    "connected to any other network");
    if (network.name == "host")
        return fail(ErrorKind::forbidden,
                    "cannot connect container to host network - container must be created in host "
                    "network mode");
    if (spec.networking.endpoints.contains("none") ||
        (network.name == "none" && !spec.networking.endpoints.empty()))
        return fail(ErrorKind::forbidden,
                    "container cannot be connected to multiple networks with one of the networks "
                    "in private (none) mode");
    if (spec.networking.endpoints.contains(network.name))
        return fail(ErrorKind::forbidden, "endpoint with name {} already exists in network {}",
                    spec.name, network.name);
    return {};
}

/// The lowest that is free.
std::string next_interface(const Endpoints& endpoints) {
    std::set<std::string> taken;
    for (const auto& endpoint : endpoints) taken.insert(endpoint.interface);
    for (unsigned number = 0;; ++number)
        if (auto name = fmt::format("eth{}", number); !taken.contains(name)) return name;
}

Result<void> record(Context& context, Container& container, Endpoints endpoints) {
    return change_and_keep(context.container_store, container,
                           [&](ContainerState& state) { state.endpoints = std::move(endpoints); });
}

/// Plugs a running container in; undone when it cannot be recorded.
Result<void> join(Context& context, Container& container, const ContainerSpec& spec,
                  const network::Network& network) {
    const Endpoints before = container.state().endpoints;
    const Fd inside = TRY(open_namespace(container, "net"));
    const auto request = TRY(endpoint_request(context, spec, network.name, next_interface(before)));
    Endpoints after = before;
    after.push_back(TRY(context.networks->connect(request, inside)));
    Rollback undo;
    undo.add([&] { context.networks->release(after.back()); });
    // Only the first needs it: the server knows all networks of the container.
    if (std::ranges::none_of(before, has_name_server))
        TRY(serve_names(context, spec, after, inside));
    TRY(publish_ports(context, spec, after));
    TRY(update_network_files(context, spec, before, after));
    TRY(record(context, container, after));
    undo.commit();
    return {};
}

/// Takes the endpoint on the network away; gives those that the container still has.
Endpoints leave(Context& context, const Endpoints& before, const network::Network& network) {
    Endpoints after;
    for (const auto& endpoint : before) {
        if (endpoint.network_id == network.id)
            context.networks->disconnect(endpoint);
        else
            after.push_back(endpoint);
    }
    return after;
}

}  // namespace

Result<void> Networks::connect(std::string_view ref,
                               const apitypes::NetworkConnectRequest& request) {
    const auto network = TRY(context_.networks->find(ref));
    const auto container = TRY(context_.containers.find(request.container));
    std::lock_guard operation(container->operation());
    ContainerSpec spec = *container->spec();
    TRY(check_connectable(spec, network));
    if (request.endpoint_config) TRY(check_endpoint(network.name, *request.endpoint_config));
    spec.networking.endpoints[network.name] = request.endpoint_config;
    TRY(context_.container_store.update_spec(spec));
    Rollback undo;
    undo.add([&] { context_.container_store.update_spec(*container->spec()).ignore(); });
    if (container->state().is_running() && network.driver == "bridge")
        TRY(join(context_, *container, spec, network));
    undo.commit();
    container->replace_spec(std::move(spec));
    publish_network_event(context_, "connect", network, container->id());
    return {};
}

Result<void> Networks::disconnect(std::string_view ref,
                                  const apitypes::NetworkDisconnectRequest& request) {
    const auto network = TRY(context_.networks->find(ref));
    const auto container = TRY(context_.containers.find(request.container));
    std::lock_guard operation(container->operation());
    ContainerSpec spec = *container->spec();
    if (spec.host.network_mode == "host")
        return fail(ErrorKind::forbidden,
                    "container cannot be disconnected from host network or "
                    "connected to host network");
    if (spec.networking.endpoints.erase(network.name) == 0)
        return fail(ErrorKind::forbidden, "container {} is not connected to network {}", spec.id,
                    network.name);
    const Endpoints before = container->state().endpoints;
    Endpoints after = leave(context_, before, network);
    // Elsewhere, when they were on this one; that they cannot be is told at the end.
    auto published = publish_ports(context_, spec, after);
    // The endpoint's record goes first: what is left after a crash in between can be disconnected.
    TRY(record(context_, *container, after));
    TRY(context_.container_store.update_spec(spec));
    container->replace_spec(spec);
    publish_network_event(context_, "disconnect", network, container->id());
    if (container->state().is_running()) TRY(update_network_files(context_, spec, before, after));
    return published;
}

}  // namespace corten::engine
