// Containers: list, create, inspect, life cycle.
#include "router.hpp"
#include "shapes.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> list(Call& call) {
    engine::ListContainers request{.all = call.flag("all"), .size = call.flag("size")};
    request.limit = static_cast<int>(TRY(call.integer("limit")).value_or(0));
    request.filters = TRY(call.filters());
    return call.reply(200, TRY(call.engine.containers().list(request)));
}

/// Several networks at once came with 1.44; older engines refused them.
Result<void> check_networks(const Call& call, const apitypes::NetworkingConfig& networking) {
    if (call.version >= ApiVersion{1, 44} || networking.endpoints.size() <= 1) return {};
    std::string names;
    for (const auto& [name, endpoint] : networking.endpoints)
        names += (names.empty() ? "" : ", ") + name;
    return fail(ErrorKind::invalid, "Container cannot be connected to network endpoints: {}",
                names);
}

constexpr ApiVersion macs_of_endpoints{1, 44};  ///< before, a container had one MAC address

constexpr const char* mac_is_deprecated =
    "The container-wide MacAddress field is now deprecated. It should be specified in "
    "EndpointsConfig instead.";

/// Before 1.44 what is mounted below a read-only bind stayed writable, whatever the options.
engine::ReadOnlyBinds shape_binds(const Call& call, apitypes::HostConfig& host) {
    if (call.version >= ApiVersion{1, 44}) return engine::ReadOnlyBinds::recursive;
    for (auto& mount : host.mounts)
        if (mount.bind_options) mount.bind_options->read_only_force_recursive = false;
    return engine::ReadOnlyBinds::shallow;
}

Result<void> create(Call& call) {
    const auto json = TRY(call.json_body());
    if (!json || json->is_null())
        return fail(ErrorKind::invalid, "config cannot be empty in order to create a container");
    auto body = TRY(apitypes::create_request_from(*json));
    TRY(check_networks(call, body.networking_config));
    if (call.version < macs_of_endpoints)
        for (auto& [network, endpoint] : body.networking_config.endpoints)
            if (endpoint) endpoint->mac_address.clear();
    const bool warns = call.version >= macs_of_endpoints && !body.mac_address.empty();
    const auto read_only_binds = shape_binds(call, body.host_config);
    auto reply = TRY(
        call.engine.containers().create({.name = call.text("name"),
                                         .config = static_cast<apitypes::ContainerConfig&>(body),
                                         .host = std::move(body.host_config),
                                         .networking = std::move(body.networking_config),
                                         .platform = call.text("platform"),
                                         .read_only_binds = read_only_binds}));
    if (warns) reply.warnings.emplace_back(mac_is_deprecated);
    return call.reply(201, reply);
}

Result<void> inspect(Call& call) {
    auto found = TRY(call.engine.containers().inspect(call.name(), call.flag("size")));
    shape(found, call.version);
    return call.reply_json(200, apitypes::to_json(found));
}

Result<void> start(Call& call) {
    // Clients of 1.22 and older sent a host configuration; "{}" and the like are let through.
    const auto length = call.request.body_length();
    if (!length || *length > 7)
        return fail(ErrorKind::invalid,
                    "starting a container takes no request body: send the "
                    "configuration when the container is created");
    if (!call.text("checkpoint").empty())
        return fail(ErrorKind::not_built, "starting from a checkpoint is not implemented");
    TRY(call.engine.containers().start(call.name()));
    return call.reply_empty(204);
}

Result<engine::StopContainer> stop_request(const Call& call) {
    engine::StopContainer request{.signal = call.text("signal")};
    if (const auto seconds = TRY(call.integer("t"))) {
        if (*seconds < -1 || *seconds > 1'000'000'000)
            return fail(ErrorKind::invalid, "t: {} is out of range", *seconds);
        request.timeout_seconds = static_cast<int>(*seconds);
    }
    return request;
}

Result<void> stop(Call& call) {
    TRY(call.engine.containers().stop(call.name(), TRY(stop_request(call))));
    return call.reply_empty(204);
}

Result<void> restart(Call& call) {
    TRY(call.engine.containers().restart(call.name(), TRY(stop_request(call))));
    return call.reply_empty(204);
}

Result<void> kill(Call& call) {
    TRY(call.engine.containers().kill(call.name(), call.text("signal")));
    return call.reply_empty(204);
}

Result<void> pause(Call& call) {
    TRY(call.engine.containers().pause(call.name()));
    return call.reply_empty(204);
}

Result<void> unpause(Call& call) {
    TRY(call.engine.containers().unpause(call.name()));
    return call.reply_empty(204);
}

Result<void> rename(Call& call) {
    TRY(call.engine.containers().rename(call.name(), call.text("name")));
    return call.reply_empty(204);
}

Result<void> remove(Call& call) {
    if (call.flag("link"))
        return fail(ErrorKind::not_built,
                    "removing a link between containers is not supported: links are "
                    "set when a container is created");
    TRY(call.engine.containers().remove(call.name(),
                                        {.force = call.flag("force"), .volumes = call.flag("v")}));
    return call.reply_empty(204);
}

Result<void> update(Call& call) {
    const auto json = TRY(call.json_body());
    const auto request = TRY(apitypes::update_request_from(json.value_or(Json::object())));
    return call.reply(200, TRY(call.engine.containers().update(call.name(), request)));
}

Result<void> prune(Call& call) {
    return call.reply(200, TRY(call.engine.containers().prune(TRY(call.filters()))));
}

Result<void> top(Call& call) {
    const std::string arguments(call.request.query.get_or("ps_args", "-ef"));
    return call.reply(200, TRY(call.engine.containers().top(call.name(), arguments)));
}

Result<void> changes(Call& call) {
    return call.reply(200, TRY(call.engine.containers().changes(call.name())));
}

constexpr std::array routes{
    Route{"GET", "/containers/json", list},
    Route{"POST", "/containers/create", create},
    Route{"POST", "/containers/prune", prune},
    Route{"GET", "/containers/{}/json", inspect},
    Route{"GET", "/containers/{}/top", top},
    Route{"GET", "/containers/{}/changes", changes},
    Route{"POST", "/containers/{}/start", start},
    Route{"POST", "/containers/{}/stop", stop},
    Route{"POST", "/containers/{}/restart", restart},
    Route{"POST", "/containers/{}/kill", kill},
    Route{"POST", "/containers/{}/pause", pause},
    Route{"POST", "/containers/{}/unpause", unpause},
    Route{"POST", "/containers/{}/rename", rename},
    Route{"POST", "/containers/{}/update", update},
    Route{"DELETE", "/containers/{}", remove},
};

}  // namespace

std::span<const Route> container_routes() {
    return routes;
}

}  // namespace corten::api
