#include "router.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> list(Call& call) {
    return call.reply(200, TRY(call.engine.networks().list(TRY(call.filters()))));
}

Result<void> inspect(Call& call) {
    auto network = TRY(call.engine.networks().inspect(call.name()));
    if (const auto scope = call.text("scope"); !scope.empty() && scope != network.scope)
        return fail(ErrorKind::not_found, "network {} not found", call.name());
    return call.reply(200, network);
}

Result<void> create(Call& call) {
    const auto request = TRY(call.body_as<apitypes::NetworkCreateRequest>());
    return call.reply(201, TRY(call.engine.networks().create(request)));
}

Result<void> remove(Call& call) {
    TRY(call.engine.networks().remove(call.name()));
    return call.reply_empty(204);
}

Result<void> connect(Call& call) {
    TRY(call.engine.networks().connect(call.name(),
                                       TRY(call.body_as<apitypes::NetworkConnectRequest>())));
    return call.reply_empty(200);
}

Result<void> disconnect(Call& call) {
    TRY(call.engine.networks().disconnect(call.name(),
                                          TRY(call.body_as<apitypes::NetworkDisconnectRequest>())));
    return call.reply_empty(200);
}

Result<void> prune(Call& call) {
    return call.reply(200, TRY(call.engine.networks().prune(TRY(call.filters()))));
}

constexpr std::array routes{
    Route{"GET", "/networks", list},
    Route{"GET", "/networks/", list},
    Route{"POST", "/networks/create", create},
    Route{"POST", "/networks/prune", prune},
    Route{"POST", "/networks/{}/connect", connect},
    Route{"POST", "/networks/{}/disconnect", disconnect},
    Route{"GET", "/networks/{}", inspect},
    Route{"DELETE", "/networks/{}", remove},
};

}  // namespace

std::span<const Route> network_routes() {
    return routes;
}

}  // namespace corten::api
