// docker commit: what a container wrote becomes a layer of a new image, which runs as the container
// does.
#include "container.hpp"
#include "context.hpp"
#include "image_defaults.hpp"
#include "image_name.hpp"
#include "lifecycle.hpp"

#include <base/log.hpp>
#include <base/text.hpp>
#include <engine/images.hpp>
#include <image/builder.hpp>
#include <image/changes.hpp>

namespace corten::engine {

namespace {

/// Keeps a running container still for as long as this lives.
class Stillness {
public:
    static Result<Stillness> of(Context& context, std::shared_ptr<Container> container) {
        const auto status = container->state().status;
        if (status != "running") return Stillness(context, nullptr);
        TRY(lifecycle::pause(context, container));
        return Stillness(context, std::move(container));
    }
    Stillness(Stillness&&) = default;
    ~Stillness() {
        if (!container_) return;
        const auto resumed = lifecycle::unpause(context_, container_);
        // Someone else may have resumed or ended it meanwhile.
        if (!resumed && container_->state().status == "paused")
            log::error("resume {} after its commit: {}", container_->id(),
                       resumed.error().message());
    }

private:
    Stillness(Context& context, std::shared_ptr<Container> container)
        : context_(context), container_(std::move(container)) {}
    Context& context_;
    std::shared_ptr<Container> container_;
};

/// The image that the container was made from; without its history if it was removed since.
Result<oci::Image> base_image(Context& context, const ContainerSpec& spec) {
    if (const auto known = context.store->images().get(spec.image_id))
        return oci::parse_image(known->config);
    oci::Image image = image::new_image();
    for (const auto& layer : TRY(context.store->layers().chain(spec.chain_id)))
        image.rootfs.diff_ids.insert(image.rootfs.diff_ids.begin(), layer.diff_id);
    for (const auto& diff_id : image.rootfs.diff_ids)
        image.history.push_back({.created = image.created, .comment = diff_id});
    return image;
}

/// How to run the new image: what the client says, else as the container, and then the changes.
Result<oci::ImageConfig> configuration(const ContainerSpec& spec, const Images::Commit& request) {
    auto asked = request.config.value_or(spec.config);
    if (request.config) apply_image_defaults(asked, image_config_of(spec.config));
    auto config = image_config_of(asked);
    TRY(image::apply_changes(config, request.changes));
    return config;
}

/// Everything of the new image but the layer.
Result<oci::Image> describe(Context& context, const ContainerSpec& spec,
                            const Images::Commit& request) {
    oci::Image image = TRY(base_image(context, spec));
    image.config = TRY(configuration(spec, request));
    image.created = rfc3339(now());
    image.author = request.author;
    image.comment = request.comment;
    image.container = spec.id;
    image.parent = spec.image_id;
    image.history.push_back({.created = image.created,
                             .created_by = join(spec.config.cmd.values(), " "),
                             .author = request.author,
                             .comment = request.comment});
    return image;
}

}  // namespace

Result<std::string> Images::commit(std::string_view container_ref, const Commit& request) {
    const auto container = TRY(context_.containers.find(container_ref));
    const auto spec = container->spec();
    const auto status = container->state().status;
    if (status == "removing" || status == "dead")
        return fail(ErrorKind::conflict, "You cannot commit container {} which is {}",
                    container->id(), status == "dead" ? "Dead" : "being removed");
    std::vector<std::string> references;
    if (!request.repository.empty())
        references.push_back(TRY(canonical_tag(request.repository, request.tag)));
    oci::Image image = TRY(describe(context_, *spec, request));
    std::optional<Stillness> still;
    if (request.pause) still.emplace(TRY(Stillness::of(context_, container)));
    const auto written = storage::produce(
        [&](storage::Sink& out) { return context_.store->snapshots().diff(container->id(), out); });
    auto id = image::store_image(*context_.store, *written, std::move(image), references,
                                 {.layer_limits = context_.config.layer_limits});
    still.reset();
    if (!id) {
        context_.collect_garbage();
        return std::move(id).error().context(fmt::format("commit of {}", container_ref));
    }
    const std::string name = references.empty() ? "" : familiar_reference(references.front());
    publish_container_event(context_, *spec, "commit",
                            {{"comment", request.comment}, {"imageID", *id}, {"imageRef", name}});
    if (!name.empty()) publish_image_event(context_, "tag", *id, name);
    return id;
}

}  // namespace corten::engine
