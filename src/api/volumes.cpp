#include "router.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> list(Call& call) {
    const apitypes::VolumeList reply{.volumes =
                                         TRY(call.engine.volumes().list(TRY(call.filters())))};
    return call.reply(200, reply);
}

Result<void> inspect(Call& call) {
    return call.reply(200, TRY(call.engine.volumes().inspect(call.name())));
}

Result<void> create(Call& call) {
    const auto request = TRY(call.body_as<apitypes::VolumeCreateRequest>());
    return call.reply(201, TRY(call.engine.volumes().create(request)));
}

Result<void> remove(Call& call) {
    TRY(call.engine.volumes().remove(call.name(), call.flag("force")));
    return call.reply_empty(204);
}

Result<void> prune(Call& call) {
    auto filters = TRY(call.filters());
    // Up to 1.41 every unused volume went; since then only those without a name of their own.
    if (call.version < ApiVersion{1, 42}) filters["all"] = {"true"};
    return call.reply(200, TRY(call.engine.volumes().prune(filters)));
}

/// Volumes of a swarm's storage cluster are the only ones that can be changed.
Result<void> update(Call& call) {
    TRY(call.engine.volumes().inspect(call.name()));
    return fail(ErrorKind::unavailable,
                "volume {} is not a cluster volume: only those can be updated", call.name());
}

constexpr std::array routes{
    Route{"GET", "/volumes", list},         Route{"POST", "/volumes/create", create},
    Route{"POST", "/volumes/prune", prune}, Route{"GET", "/volumes/{}", inspect},
    Route{"PUT", "/volumes/{}", update},    Route{"DELETE", "/volumes/{}", remove},
};

}  // namespace

std::span<const Route> volume_routes() {
    return routes;
}

}  // namespace corten::api
