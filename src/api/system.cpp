// The daemon about itself.
#include "credentials.hpp"
#include "router.hpp"
#include "shapes.hpp"

#include <array>

namespace corten::api {

namespace {

void set_ping_headers(Call& call) {
    auto& headers = call.answer.headers();
    headers.add("Builder-Version", "1");
    headers.add("Swarm", "inactive");
    headers.add("Cache-Control", "no-cache, no-store, must-revalidate");
    headers.add("Pragma", "no-cache");
    headers.set("Content-Type", "text/plain; charset=utf-8");
}

Result<void> ping(Call& call) {
    set_ping_headers(call);
    return call.answer.send(200, "OK");
}

Result<void> ping_head(Call& call) {
    set_ping_headers(call);
    return call.answer.send(200, "");
}

Result<void> info(Call& call) {
    return call.reply_json(200, shaped_json(TRY(call.engine.info()), call.version));
}

Result<void> version(Call& call) {
    return call.reply(200, call.engine.version());
}

/// With `type=` only what was asked for is there; the rest is null.
Result<void> disk_usage(Call& call) {
    const auto types = call.request.query.all("type");
    for (const auto& type : types)
        if (type != "container" && type != "image" && type != "volume" && type != "build-cache")
            return fail(ErrorKind::invalid, "unknown object type: {}", type);
    const auto wanted = [&](std::string_view type) {
        return types.empty() || std::ranges::find(types, type) != types.end();
    };
    auto usage = TRY(call.engine.disk_usage({.images = wanted("image"),
                                             .containers = wanted("container"),
                                             .volumes = wanted("volume"),
                                             .build_cache = wanted("build-cache")}));
    if (usage.images && call.version < ApiVersion{1, 44})
        for (auto& image : *usage.images) image.virtual_size = image.size;
    return call.reply_json(200, apitypes::to_json(usage));
}

Result<void> login(Call& call) {
    const auto auth = TRY(call.body_as<apitypes::AuthConfig>());
    return call.reply(200,
                      TRY(call.engine.images().login(credentials_from(auth), TRY(call.gone()))));
}

/// There is no build cache, so there is never anything to remove from it.
Result<void> prune_build_cache(Call& call) {
    call.engine.events().publish(engine::make_event("builder", "prune", "", {{"reclaimed", "0"}}));
    return call.reply_json(200, Json{{"CachesDeleted", nullptr}, {"SpaceReclaimed", 0}});
}

constexpr std::array routes{
    Route{"HEAD", "/_ping", ping_head},
    Route{"GET", "/_ping", ping},
    Route{"GET", "/info", info},
    Route{"GET", "/version", version},
    Route{"POST", "/auth", login},
    Route{"GET", "/system/df", disk_usage},
    Route{"POST", "/build/prune", prune_build_cache},
};

}  // namespace

std::span<const Route> system_routes() {
    return routes;
}

}  // namespace corten::api
