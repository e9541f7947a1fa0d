// Images: what is there, names, removal.
#include "platforms.hpp"
#include "router.hpp"
#include "shapes.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> list(Call& call) {
    auto filters = TRY(call.filters());
    // Before filters there was `filter`, a reference.
    if (const auto reference = call.text("filter"); !reference.empty())
        filters["reference"].push_back(reference);
    auto images = TRY(call.engine.images().list(
        {.all = call.flag("all"),
         .filters = std::move(filters),
         .shared_size = call.flag("shared-size"),
         .manifests = call.flag("manifests") && call.version >= ApiVersion{1, 47}}));
    for (auto& image : images) shape(image, call.version);
    return call.reply(200, images);
}

Result<void> inspect(Call& call) {
    const engine::InspectImage request{
        .platform = TRY(asked_platform(call, {1, 49})),
        .manifests = call.flag("manifests") && call.version >= ApiVersion{1, 48}};
    if (request.platform && request.manifests)
        return fail(ErrorKind::invalid,
                    "conflicting options: manifests and platform options cannot both be set");
    return call.reply_json(
        200, shaped_json(TRY(call.engine.images().inspect(call.name(), request)), call.version));
}

Result<void> history(Call& call) {
    const auto platform = TRY(asked_platform(call, {1, 48}));
    return call.reply(200, TRY(call.engine.images().history(call.name(), platform)));
}

Result<void> tag(Call& call) {
    TRY(call.engine.images().tag(call.name(), call.text("repo"), call.text("tag")));
    return call.reply_empty(201);
}

Result<void> remove(Call& call) {
    const engine::Images::Remove request{
        .force = call.flag("force"),
        .prune_parents = !call.flag("noprune"),
        .platforms = TRY(asked_platforms(call, {1, 50}, "platforms"))};
    return call.reply(200, TRY(call.engine.images().remove(call.name(), request)));
}

Result<void> prune(Call& call) {
    return call.reply(200, TRY(call.engine.images().prune(TRY(call.filters()))));
}

Result<void> commit(Call& call) {
    const auto container = call.text("container");
    if (container.empty())
        return fail(ErrorKind::invalid, "no container to commit: give container=NAME");
    engine::Images::Commit request{.repository = call.text("repo"),
                                   .tag = call.text("tag"),
                                   .author = call.text("author"),
                                   .comment = call.text("comment"),
                                   .changes = call.request.query.all("changes"),
                                   .config = {},
                                   .pause = call.text("pause").empty() || call.flag("pause")};
    const auto body = TRY(call.json_body());
    if (body && !body->is_null()) request.config = TRY(apitypes::container_config_from(*body));
    auto id = TRY(call.engine.images().commit(container, request));
    return call.reply(201, apitypes::IdReply{.id = std::move(id)});
}

constexpr std::array routes{
    Route{"GET", "/images/json", list},       Route{"POST", "/images/prune", prune},
    Route{"GET", "/images/{}/json", inspect}, Route{"GET", "/images/{}/history", history},
    Route{"POST", "/images/{}/tag", tag},     Route{"DELETE", "/images/{}", remove},
    Route{"POST", "/commit", commit},
};

}  // namespace

std::span<const Route> image_routes() {
    return routes;
}

}  // namespace corten::api
