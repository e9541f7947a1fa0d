// Images on their way in and out, and what registries are asked.
#include "context.hpp"
#include "disk_pressure.hpp"
#include "filters.hpp"
#include "image_name.hpp"

#include <base/text.hpp>
#include <engine/images.hpp>
#include <image/archive.hpp>
#include <image/bootstrap.hpp>
#include <image/builder.hpp>
#include <image/distribution.hpp>
#include <image/download.hpp>
#include <image/login.hpp>
#include <image/pusher.hpp>
#include <image/search.hpp>

#include <array>

namespace corten::engine {

namespace {

apitypes::ProgressLine line_of(const image::Progress& event) {
    apitypes::ProgressLine line;
    line.status = event.status;
    line.stream = event.stream;
    line.id = event.id;
    if (event.current ||
        (!event.id.empty() && event.status.find("Pulling from") == std::string::npos))
        line.progress_detail =
            apitypes::ProgressDetail{.current = event.current.value_or(0), .total = event.total};
    if (event.aux)
        line.aux =
            Json{{"Tag", event.aux->tag}, {"Digest", event.aux->digest}, {"Size", event.aux->size}};
    if (event.instead)
        line.aux = Json{{"manifestPushedInsteadOfIndex", true},
                        {"originalIndex", to_json(event.instead->index)},
                        {"selectedManifest", to_json(event.instead->manifest)}};
    return line;
}

image::ProgressSink sink_of(const ProgressSink& progress) {
    return [&progress](const image::Progress& event) { progress(line_of(event)); };
}

image::Credentials credentials_of(const RegistryCredentials& c) {
    return {.username = c.username,
            .password = c.password,
            .identity_token = c.identity_token,
            .registry_token = c.registry_token,
            .server_address = c.server_address};
}

/// Frees what an attempt has written before its error is told: the next command may need the space.
Error given_up(Context& context, Error error) {
    context.collect_garbage();
    return error;
}

Result<void> pull_one(Context& context, const image::PullRequest& pull,
                      const ProgressSink& progress, FdView cancel) {
    auto outcome = context.puller->pull(pull, sink_of(progress), cancel);
    if (!outcome) return given_up(context, std::move(outcome).error());
    publish_image_event(context, "pull", pull.reference.familiar(), pull.reference.familiar_name());
    context.workers.post([&context] { relieve_disk(context); });
    return {};
}

constexpr std::array search_filters = {"is-automated", "is-official", "stars"};

/// nullopt when the filter does not say.
Result<std::optional<bool>> wanted_truth(const Filters& filters, const std::string& key) {
    const auto found = filters.find(key);
    if (found == filters.end()) return std::nullopt;
    for (const std::string& value : found->second)
        if (value != "true" && value != "false" && value != "1" && value != "0")
            return fail(ErrorKind::invalid, "invalid filter '{}={}'", key, value);
    return std::ranges::any_of(found->second, is_true);
}

Result<std::int64_t> fewest_stars(const Filters& filters) {
    std::int64_t fewest = 0;
    if (const auto found = filters.find("stars"); found != filters.end())
        for (const std::string& value : found->second) {
            const auto stars = parse_integer(value, "stars");
            if (!stars) return fail(ErrorKind::invalid, "invalid filter 'stars={}'", value);
            fewest = std::max(fewest, *stars);
        }
    return fewest;
}

}  // namespace

Result<void> Images::pull(const PullImage& request, const ProgressSink& progress, FdView cancel) {
    image::PullRequest pull;
    pull.reference = TRY(image::Reference::parse(request.reference));
    if (pull.reference.path == "library/scratch" || pull.reference.path == "scratch")
        return fail(ErrorKind::forbidden, "'scratch' is a reserved name");
    if (!request.platform.empty()) pull.platform = TRY(oci::parse_platform(request.platform));
    pull.credentials = credentials_of(request.credentials);
    if (!pull.reference.tag.empty() || !pull.reference.digest.empty())
        return pull_one(context_, pull, progress, cancel);
    for (const auto& tag : TRY(context_.puller->tags(pull.reference, pull.credentials, cancel))) {
        pull.reference.tag = tag;
        TRY(pull_one(context_, pull, progress, cancel));
    }
    return {};
}

Result<void> Images::push(const PushImage& request, const ProgressSink& progress, FdView cancel) {
    auto pushed = image::push(*context_.store,
                              {.name = request.reference,
                               .platform = request.platform,
                               .credentials = credentials_of(request.credentials)},
                              context_.puller->options(), sink_of(progress), cancel);
    context_.collect_garbage_soon();  // what was removed meanwhile was held until now
    TRY(std::move(pushed));
    publish_image_event(context_, "push", request.reference, familiar_reference(request.reference));
    return {};
}

Result<void> Images::save(const std::vector<std::string>& refs, const Platforms& platforms,
                          const ByteSink& sink) const {
    auto saved = image::save(*context_.store, refs, platforms, sink);
    context_.collect_garbage_soon();  // what was removed meanwhile was held until now
    TRY(std::move(saved));
    for (const auto& ref : refs)
        if (const auto image = context_.store->images().resolve(TRY(parse_image_name(ref))))
            publish_image_event(context_, "save", image->id, image->id);
    return {};
}

Result<void> Images::load(const ByteSource& source, const Platforms& platforms,
                          const ProgressSink& progress) {
    const image::LoadOptions options{.layer_limits = context_.config.layer_limits,
                                     .platforms = platforms};
    const auto loaded = image::load(*context_.store, source, sink_of(progress), options);
    if (!loaded) return given_up(context_, loaded.error());
    for (const auto& id : *loaded) publish_image_event(context_, "load", id, id);
    return {};
}

Result<std::string> Images::import(const Import& request, const ByteSource& source,
                                   const ProgressSink& progress, FdView cancel) {
    image::ImportRequest import{.message = request.message, .changes = request.changes};
    if (import.message.empty() && !request.url.empty())
        import.message = "Imported from " + request.url;
    if (!request.repository.empty())
        import.reference = TRY(canonical_tag(request.repository, request.tag));
    if (!request.platform.empty()) import.platform = TRY(oci::parse_platform(request.platform));
    std::unique_ptr<image::Download> download;
    if (!request.url.empty()) {
        download = TRY(image::Download::open(request.url, context_.puller->options(), cancel));
        progress({.status = "Importing"});
    }
    auto id = image::import_image(*context_.store, download ? download->source() : source, import,
                                  {.layer_limits = context_.config.layer_limits});
    if (!id) return given_up(context_, std::move(id).error());
    sink_of(progress)({.status = *id});
    publish_image_event(context_, "import", *id, *id);
    return id;
}

Result<void> Images::bootstrap(std::string_view name, const ProgressSink& progress, FdView cancel) {
    const auto made = TRY(image::bootstrap(*context_.store, name, sink_of(progress), cancel));
    for (const auto& reference : made.references)
        publish_image_event(context_, "tag", made.image_id, reference);
    return {};
}

Result<apitypes::DistributionInspect> Images::ask_registry(std::string_view ref,
                                                           const RegistryCredentials& credentials,
                                                           FdView cancel) const {
    auto found = TRY(
        image::ask_registry(ref, credentials_of(credentials), context_.puller->options(), cancel));
    return apitypes::DistributionInspect{.descriptor = std::move(found.descriptor),
                                         .platforms = std::move(found.platforms)};
}

Result<apitypes::ManifestInspect> Images::ask_manifest(const AskManifest& request,
                                                       FdView cancel) const {
    auto options = context_.puller->options();
    if (request.insecure)
        options.registry.insecure.push_back(TRY(image::Reference::parse(request.reference)).domain);
    auto found = TRY(image::fetch_manifest(request.reference, credentials_of(request.credentials),
                                           options, cancel));
    return apitypes::ManifestInspect{.reference = std::move(found.reference),
                                     .descriptor = std::move(found.descriptor),
                                     .raw = base64_encode(found.bytes)};
}

Result<std::vector<apitypes::FoundImage>> Images::search(std::string_view term, std::size_t limit,
                                                         const Filters& filters,
                                                         const RegistryCredentials& credentials,
                                                         FdView cancel) const {
    TRY(check_filter_keys(filters, search_filters));
    const auto official = TRY(wanted_truth(filters, "is-official"));
    const auto automated = TRY(wanted_truth(filters, "is-automated"));
    const auto stars = TRY(fewest_stars(filters));
    std::vector<apitypes::FoundImage> found;
    for (auto& entry : TRY(image::search(term, limit, credentials_of(credentials),
                                         context_.puller->options(), cancel)))
        if (official.value_or(entry.official) == entry.official &&
            automated.value_or(entry.automated) == entry.automated && entry.stars >= stars)
            found.push_back({.star_count = entry.stars,
                             .is_official = entry.official,
                             .name = std::move(entry.name),
                             .is_automated = entry.automated,
                             .description = std::move(entry.description)});
    return found;
}

Result<apitypes::AuthReply> Images::login(const RegistryCredentials& credentials, FdView cancel) {
    auto result =
        TRY(image::login(credentials_of(credentials), context_.puller->options(), cancel));
    return apitypes::AuthReply{.identity_token = std::move(result.identity_token),
                               .status = std::move(result.status)};
}

}  // namespace corten::engine
