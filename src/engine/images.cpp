#include "context.hpp"
#include "filters.hpp"
#include "image_manifests.hpp"
#include "image_name.hpp"
#include "rendering.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <engine/images.hpp>
#include <image/archive.hpp>
#include <image/bootstrap.hpp>
#include <image/builder.hpp>
#include <image/distribution.hpp>
#include <image/login.hpp>
#include <image/platforms.hpp>
#include <image/pusher.hpp>
#include <oci/image_spec.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace corten::engine {

namespace {

std::int64_t unix_time(const std::string& rfc3339_text) {
    const auto time = parse_rfc3339(rfc3339_text);
    return time ? unix_seconds(*time) : 0;  // an image may leave it out or write what it likes
}

apitypes::Strings familiar(const std::vector<std::string>& references) {
    apitypes::Strings out;
    for (const auto& reference : references) out.push_back(familiar_reference(reference));
    return out;
}

Result<storage::FoundImage> resolve(const Context& context, std::string_view ref) {
    return context.store->images().resolve(TRY(parse_image_name(ref)));
}

Result<storage::Image> find(const Context& context, std::string_view ref,
                            const std::optional<oci::Platform>& platform = {}) {
    return image::image_for(*context.store, TRY(resolve(context, ref)), ref, platform);
}

apitypes::ImageConfig render_config(const oci::ImageConfig& config) {
    apitypes::ImageConfig out;
    out.cmd.list = config.cmd;
    out.entrypoint.list = config.entrypoint;
    out.args_escaped = config.args_escaped;
    if (!config.env.empty()) out.env = config.env;
    for (const auto& [port, unused] : config.exposed_ports) out.exposed_ports[port];
    if (!config.volumes.empty()) out.volumes.emplace();
    for (const auto& [path, unused] : config.volumes) (*out.volumes)[path];
    if (!config.labels.empty()) out.labels = config.labels;
    if (!config.on_build.empty()) out.on_build = config.on_build;
    if (!config.shell.empty()) out.shell.list = config.shell;
    out.stop_signal = config.stop_signal;
    out.user = config.user;
    out.working_dir = config.working_dir;
    if (const auto& h = config.healthcheck)
        out.healthcheck = apitypes::HealthConfig{.test = h->test,
                                                 .interval = h->interval,
                                                 .timeout = h->timeout,
                                                 .start_period = h->start_period,
                                                 .start_interval = h->start_interval,
                                                 .retries = static_cast<int>(h->retries)};
    return out;
}

constexpr std::array filter_keys = {"dangling", "label",     "label!", "before",
                                    "since",    "reference", "until"};

/// Shell-style match where * stops at a slash.
bool glob_matches(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern[0] == '*') {
        for (std::size_t n = 0;; ++n) {
            if (glob_matches(pattern.substr(1), text.substr(n))) return true;
            if (n == text.size() || text[n] == '/') return false;
        }
    }
    if (text.empty() || (pattern[0] != '?' && pattern[0] != text[0])) return false;
    return glob_matches(pattern.substr(1), text.substr(1));
}

/// A pattern is compared with the whole reference and with the name alone.
bool reference_matches(const std::string& canonical, const std::vector<std::string>& patterns) {
    const auto reference = image::Reference::parse(canonical);
    if (!reference) return false;
    return std::ranges::any_of(patterns, [&](const std::string& pattern) {
        return glob_matches(pattern, reference->familiar()) ||
               glob_matches(pattern, reference->familiar_name());
    });
}

class ImageFilter {
public:
    static Result<ImageFilter> create(const Context& context, const Filters& filters) {
        ImageFilter out(filters);
        for (const auto& [key, values] : filters) {
            if (std::ranges::find(filter_keys, key) == filter_keys.end())
                return fail(ErrorKind::invalid, "invalid filter '{}'", key);
            for (const auto& value : values) {
                if (key == "before")
                    out.before_ = std::min(out.before_, created(TRY(find(context, value))));
                if (key == "since")
                    out.since_ = std::max(out.since_, created(TRY(find(context, value))));
                if (key == "until")
                    out.before_ = std::min(out.before_, unix_seconds(TRY(until_time(value))));
            }
        }
        return out;
    }

    /// Of an image's names only those that were asked for are listed.
    void narrow(storage::Image& image) const {
        const auto patterns = filters_.find("reference");
        if (patterns == filters_.end()) return;
        const auto other = [&](const std::string& reference) {
            return !reference_matches(reference, patterns->second);
        };
        std::erase_if(image.tags, other);
        std::erase_if(image.digests, other);
    }

    /// `image` is narrowed already.
    bool matches(const storage::Image& image, const oci::Image& document) const {
        const auto time = unix_time(document.created);
        if (time >= before_ || time <= since_) return false;
        const std::map<std::string, std::string> none;
        const auto& labels = document.config ? document.config->labels : none;
        return std::ranges::all_of(filters_, [&](const auto& filter) {
            const auto& [key, values] = filter;
            const auto label = [&](const std::string& v) { return label_matches(labels, v); };
            if (key == "label") return std::ranges::all_of(values, label);
            if (key == "label!") return std::ranges::none_of(values, label);
            if (key == "reference") return !image.tags.empty() || !image.digests.empty();
            if (key == "dangling") {
                const bool wanted = std::ranges::any_of(values, is_true);
                if (wanted) return image.tags.empty();
                return !image.tags.empty() || !image.digests.empty();
            }
            return true;
        });
    }

private:
    explicit ImageFilter(const Filters& filters) : filters_(filters) {}
    static std::int64_t created(const storage::Image& image) {
        const auto document = oci::parse_image(image.config);
        return document ? unix_time(document->created) : 0;
    }

    const Filters& filters_;
    std::int64_t before_ = std::numeric_limits<std::int64_t>::max();
    std::int64_t since_ = std::numeric_limits<std::int64_t>::min();
};

apitypes::ImageSummary summary(const storage::Image& image, const oci::Image& document) {
    apitypes::ImageSummary out;
    out.created = unix_time(document.created);
    out.id = image.id;
    if (document.config && !document.config->labels.empty()) out.labels = document.config->labels;
    out.parent_id = image.parent;
    out.repo_digests = familiar(image.digests);
    out.repo_tags = familiar(image.tags);
    out.size = static_cast<std::int64_t>(image.size);
    return out;
}

/// With what all platforms of its name have together.
Result<apitypes::ImageSummary> full_summary(const ManifestLister& lister,
                                            const storage::Image& image, const oci::Image& document,
                                            bool manifests) {
    auto entry = summary(image, document);
    const auto platforms = TRY(lister.platforms(image));
    if (platforms.size() > 1)
        entry.size = static_cast<std::int64_t>(TRY(lister.size_of_layers(platforms)));
    entry.containers = lister.users(platforms);
    entry.descriptor = TRY(lister.descriptor(image));
    if (manifests) entry.manifests = TRY(lister.manifests(image));
    return entry;
}

/// What the store has of layers, to be compared with what it has later.
class LayerSizes {
public:
    static Result<LayerSizes> of(storage::Store& store) {
        LayerSizes sizes;
        for (const auto& layer : TRY(store.layers().list()))
            sizes.bytes_.emplace(layer.chain_id, layer.size);
        for (const auto& blob : TRY(store.packed_layers().list()))
            sizes.bytes_.emplace(blob.digest, blob.size);
        return sizes;
    }
    /// Bytes of what `later` has no more, whatever came since.
    std::uint64_t gone_in(const LayerSizes& later) const {
        std::uint64_t gone = 0;
        for (const auto& [id, bytes] : bytes_)
            if (!later.bytes_.contains(id)) gone += bytes;
        return gone;
    }

private:
    std::map<std::string, std::uint64_t> bytes_;  ///< by chain id, or a blob's digest
};

}  // namespace

void publish_image_event(Context& context, std::string action, const std::string& id,
                         const std::string& name) {
    auto event = make_event("image", std::move(action), id, {{"name", name}});
    event.status = event.action;
    event.id = id;
    context.events.publish(std::move(event));
}

Images::Images(Context& context) : context_(context) {}

Result<std::vector<apitypes::ImageSummary>> Images::list(const ListImages& request) const {
    // There are no intermediate images, so `all` changes nothing.
    const auto filter = TRY(ImageFilter::create(context_, request.filters));
    const ManifestLister lister(context_);
    std::map<std::string, std::uint64_t> shared;
    if (request.shared_size)
        for (const auto& usage : TRY(context_.store->images().usage()))
            shared[usage.id] = usage.shared;
    std::vector<apitypes::ImageSummary> out;
    for (auto& image : TRY(context_.store->images().list())) {
        if (image.in_index && image.tags.empty() && image.digests.empty()) continue;
        const auto document = TRY(oci::parse_image(image.config).context(image.id));
        filter.narrow(image);
        if (!filter.matches(image, document)) continue;
        auto entry = full_summary(lister, image, document, request.manifests);
        if (!entry && entry.error().kind() == ErrorKind::not_found) continue;  // removed meanwhile
        if (!entry) return std::move(entry).error();
        if (request.shared_size) entry->shared_size = static_cast<std::int64_t>(shared[image.id]);
        out.push_back(*std::move(entry));
    }
    std::ranges::sort(out, std::ranges::greater(), &apitypes::ImageSummary::created);
    return out;
}

namespace {

/// As docker shows an image: its topmost layer is the upper one.
storage::Places top_apart(storage::Places image) {
    if (image.lower.empty()) return image;
    image.upper = std::move(image.lower.front());
    image.lower.erase(image.lower.begin());
    return image;
}

}  // namespace

Result<apitypes::ImageInspect> Images::inspect(std::string_view ref,
                                               const InspectImage& request) const {
    const ManifestLister lister(context_);
    const auto found = TRY(resolve(context_, ref));
    auto image = TRY(image::image_for(*context_.store, found, ref, request.platform));
    // Another platform's image has the names of its index.
    if (image.id != found.id)
        for (auto& name : TRY(context_.store->indexes().references(found.index)))
            (name.contains('@') ? image.digests : image.tags).push_back(std::move(name));
    const auto document = TRY(oci::parse_image(image.config).context(image.id));
    apitypes::ImageInspect out;
    out.id = image.id;
    out.repo_tags = familiar(image.tags);
    out.repo_digests = familiar(image.digests);
    out.parent = image.parent;
    out.comment = document.comment.empty() && !document.history.empty()
                      ? document.history.back().comment
                      : document.comment;
    out.created = document.created;
    out.docker_version = document.docker_version;
    out.author = document.author;
    out.architecture = document.architecture;
    out.variant = document.variant;
    out.os = document.os;
    out.size = static_cast<std::int64_t>(image.size);
    out.graph_driver = graph_driver(
        context_, top_apart(TRY(context_.store->snapshots().places_of_chain(image.chain_id))));
    out.root_fs.layers = document.rootfs.diff_ids;
    out.metadata.last_tag_time = rfc3339(image.last_tagged);
    if (request.platform) image.indexes.clear();  // one manifest is meant
    out.descriptor = TRY(lister.descriptor(image));
    if (request.manifests) out.manifests = TRY(lister.manifests(image));
    out.config = document.config ? render_config(*document.config) : apitypes::ImageConfig{};
    return out;
}

Result<std::vector<apitypes::HistoryEntry>> Images::history(
    std::string_view ref, const std::optional<oci::Platform>& platform) const {
    const auto image = TRY(find(context_, ref, platform));
    const auto document = TRY(oci::parse_image(image.config).context(image.id));
    auto layers = image.chain_id.empty() ? std::vector<storage::Layer>()
                                         : TRY(context_.store->layers().chain(image.chain_id));
    std::vector<apitypes::HistoryEntry> out;
    // Layers come topmost first, the history lowest first.
    std::size_t next_layer = 0;
    for (auto at = document.history.rbegin(); at != document.history.rend(); ++at) {
        apitypes::HistoryEntry entry{.comment = at->comment,
                                     .created = unix_time(at->created),
                                     .created_by = at->created_by,
                                     .id = "<missing>",
                                     .size = 0,
                                     .tags = {}};
        if (!at->empty_layer && next_layer < layers.size())
            entry.size = static_cast<std::int64_t>(layers[next_layer++].size);
        out.push_back(std::move(entry));
    }
    for (; next_layer < layers.size();
         ++next_layer)  // an image whose history says less than it has
        out.push_back({.comment = {},
                       .created = 0,
                       .created_by = {},
                       .id = "<missing>",
                       .size = static_cast<std::int64_t>(layers[next_layer].size),
                       .tags = {}});
    if (out.empty())
        out.push_back({.comment = {},
                       .created = unix_time(document.created),
                       .created_by = {},
                       .id = {},
                       .size = 0,
                       .tags = {}});
    out.front().id = image.id;
    if (!image.tags.empty()) out.front().tags = familiar(image.tags);
    return out;
}

Result<void> Images::tag(std::string_view ref, std::string_view repository, std::string_view tag) {
    const auto found = TRY(resolve(context_, ref));
    const std::string target = TRY(canonical_tag(repository, std::string(tag)));
    TRY(context_.store->images().tag(target, found.id, found.index));
    publish_image_event(context_, "tag", found.id, familiar_reference(target));
    return {};
}

Result<std::vector<apitypes::ImageDeleted>> Images::remove(std::string_view ref,
                                                           const Remove& request) {
    storage::RemoveImageOptions options{
        .force = request.force, .prune_parents = request.prune_parents, .users = {}};
    options.users = [this](const std::string& id) {
        std::vector<storage::ImageUser> users;
        for (const auto& container : context_.containers.all())
            if (container->spec()->image_id == id)
                users.push_back({.container_id = container->id(),
                                 .running = container->state().counts_as_running()});
        return users;
    };
    const auto name = TRY(parse_image_name(ref));
    const auto found = TRY(context_.store->images().resolve(name));
    for (const auto& platform : request.platforms)
        options.only.push_back(TRY(image::image_for(*context_.store, found, ref, platform)).id);
    const auto removed = TRY(context_.store->with_reserve(
        [&] { return context_.store->images().remove(name, options); }));
    std::vector<apitypes::ImageDeleted> out;
    for (const auto& item : removed) {
        if (item.untagged) {
            out.push_back({.untagged = familiar_reference(item.what), .deleted = {}});
            publish_image_event(context_, "untag", found.id, found.id);
        } else {
            out.push_back({.untagged = {}, .deleted = item.what});
            publish_image_event(context_, "delete", item.what, item.what);
        }
    }
    context_.collect_garbage_soon();
    return out;
}

Result<apitypes::ImagesPruned> Images::prune(const Filters& filters) {
    std::unique_lock prune(context_.prune, std::try_to_lock);
    if (!prune) return fail(ErrorKind::conflict, "a prune operation is already running");
    Filters chosen = filters;
    bool only_dangling = true;
    if (const auto dangling = filters.find("dangling"); dangling != filters.end())
        only_dangling = std::ranges::any_of(dangling->second, is_true);
    chosen.erase("dangling");
    if (only_dangling) chosen["dangling"] = {"true"};
    const auto before = TRY(LayerSizes::of(*context_.store));
    apitypes::ImagesPruned pruned;
    for (const auto& image : TRY(list({.all = true, .filters = chosen}))) {
        if (image.containers > 0) continue;
        auto removed = remove(image.id, {.force = true});
        if (!removed) continue;  // taken into use since it was listed
        if (!pruned.images_deleted) pruned.images_deleted.emplace();
        for (auto& item : *removed) pruned.images_deleted->push_back(std::move(item));
    }
    TRY(context_.store->images().end_kept_leases());
    context_.collect_garbage();
    const auto after = TRY(LayerSizes::of(*context_.store));
    const auto partials = TRY(context_.store->blobs().remove_partials());
    pruned.space_reclaimed = static_cast<std::int64_t>(before.gone_in(after) + partials);
    publish_prune_event(context_, "image", pruned.space_reclaimed);
    return pruned;
}

Result<apitypes::StoreReport> Images::check_store(bool quick, bool repair) {
    const auto found = TRY(context_.store->check({.digests = !quick, .repair = repair}));
    apitypes::StoreReport report{.layers = found.layers,
                                 .images = found.images,
                                 .snapshots = found.snapshots,
                                 .blobs = found.blobs,
                                 .problems = {}};
    for (const auto& [what, sentence, mended] : found.problems)
        report.problems.push_back({.what = what, .found = sentence, .mended = mended});
    return report;
}

}  // namespace corten::engine
