// Images on their way in and out: pull, push, save, load, import; questions to registries.
#include "credentials.hpp"
#include "platforms.hpp"
#include "progress.hpp"
#include "router.hpp"
#include "tar_body.hpp"

#include <base/text.hpp>

#include <array>
#include <tuple>

namespace corten::api {

namespace {

/// fromImage and tag as one reference; the tag may be a digest.
std::string pulled_reference(const Call& call) {
    auto image = call.text("fromImage");
    const auto tag = call.text("tag");
    if (tag.empty()) return image;
    return image + (tag.find(':') != std::string::npos ? "@" : ":") + tag;
}

/// That a registry refuses credentials is no refusal of ours: on a 401 docker's command would ask
/// for a password on the terminal and wait.
Result<void> as_registry_trouble(Result<void> outcome) {
    if (outcome || outcome.error().kind() != ErrorKind::unauthorized) return outcome;
    return fail(ErrorKind::io, "{}", outcome.error().message());
}

Result<void> pull(Call& call) {
    ProgressStream progress(call.answer);
    const FdView gone = TRY(call.gone());
    const engine::PullImage request{.reference = pulled_reference(call),
                                    .platform = call.text("platform"),
                                    .credentials = registry_credentials(call)};
    return progress.finish(
        as_registry_trouble(call.engine.images().pull(request, progress.sink(), gone)));
}

Result<void> import(Call& call) {
    const auto source = call.text("fromSrc");
    if (source.empty())
        return fail(ErrorKind::invalid,
                    "nothing to make an image of: give fromImage=NAME, or fromSrc=URL or -");
    ProgressStream progress(call.answer);
    const bool has_body = source == "-";
    // A body that is still to be read looks like a client that goes on talking.
    const FdView gone = has_body ? FdView() : TRY(call.gone());
    const engine::Images::Import request{.repository = call.text("repo"),
                                         .tag = call.text("tag"),
                                         .message = call.text("message"),
                                         .changes = call.request.query.all("changes"),
                                         .platform = call.text("platform"),
                                         .url = has_body ? std::string() : source};
    auto id = call.engine.images().import(request, call.request.body(), progress.sink(), gone);
    if (!id.has_value()) return progress.finish(std::move(id).error());
    return progress.finish({});
}

Result<void> create(Call& call) {
    return call.text("fromImage").empty() ? import(call) : pull(call);
}

Result<void> push(Call& call) {
    std::string reference = call.name();
    if (const auto tag = call.text("tag"); !tag.empty()) reference += ":" + tag;
    // Old clients send a body of credentials; the header is what counts.
    const engine::PushImage request{.reference = reference,
                                    .platform = TRY(asked_platform(call, {1, 46})),
                                    .credentials = registry_credentials(call)};
    ProgressStream progress(call.answer);
    const FdView gone = TRY(call.gone());
    return progress.finish(
        as_registry_trouble(call.engine.images().push(request, progress.sink(), gone)));
}

Result<void> distribution(Call& call) {
    const FdView gone = TRY(call.gone());
    auto found = call.engine.images().ask_registry(call.name(), registry_credentials(call), gone);
    // A 401 of ours would make clients ask for a password.
    if (!found && found.error().kind() == ErrorKind::unauthorized)
        return fail(ErrorKind::forbidden, "{}", found.error().message());
    return call.reply(200, TRY(std::move(found)));
}

constexpr std::int64_t usual_results = 25;
constexpr std::int64_t most_results = 100;

Result<void> search(Call& call) {
    const auto limit = TRY(call.integer("limit")).value_or(usual_results);
    if (limit < 0 || limit > most_results)
        return fail(ErrorKind::invalid, "limit {} is outside the range of [1, {}]", limit,
                    most_results);
    const FdView gone = TRY(call.gone());
    auto found = call.engine.images().search(
        call.text("term"), static_cast<std::size_t>(limit == 0 ? usual_results : limit),
        TRY(call.filters()), registry_credentials(call), gone);
    if (!found && found.error().kind() == ErrorKind::unauthorized)
        return fail(ErrorKind::forbidden, "{}", found.error().message());
    Json list = Json::array();
    for (const auto& image : TRY(std::move(found))) list.push_back(to_json(image));
    return call.reply_json(200, list);
}

Result<void> save(Call& call, const std::vector<std::string>& names) {
    const auto platforms = TRY(asked_platforms(call, {1, 48}));
    return stream_body(call, "application/x-tar", [&](const ByteSink& sink) {
        return call.engine.images().save(names, platforms, sink);
    });
}

Result<void> save_several(Call& call) {
    // Repeated, or one list with commas.
    std::vector<std::string> names;
    for (const auto& value : call.request.query.all("names"))
        for (auto& name : split(value, ','))
            if (!name.empty()) names.push_back(std::move(name));
    if (names.empty()) return fail(ErrorKind::invalid, "no images to save: give names");
    return save(call, names);
}

Result<void> save_one(Call& call) {
    return save(call, {call.name()});
}

Result<void> load(Call& call) {
    const auto platforms = TRY(asked_platforms(call, {1, 48}));
    ProgressStream progress(call.answer);
    const bool quiet = call.flag("quiet");
    const auto sink = [&](const apitypes::ProgressLine& line) {
        if (!quiet || !line.progress_detail) progress.write(line);
    };
    return progress.finish(call.engine.images().load(call.request.body(), platforms, sink));
}

constexpr std::array routes{
    Route{"GET", "/distribution/{}/json", distribution},
    Route{"GET", "/images/search", search},
    Route{"POST", "/images/create", create},
    Route{"POST", "/images/load", load},
    Route{"GET", "/images/get", save_several},
    Route{"GET", "/images/{}/get", save_one},
    Route{"POST", "/images/{}/push", push},
};

}  // namespace

engine::RegistryCredentials credentials_from(const apitypes::AuthConfig& auth) {
    engine::RegistryCredentials credentials{.username = auth.username,
                                            .password = auth.password,
                                            .identity_token = auth.identity_token,
                                            .registry_token = auth.registry_token,
                                            .server_address = auth.server_address};
    if (!auth.username.empty()) return credentials;
    // base64 of "user:password"
    if (const auto packed = base64_decode(auth.auth))
        std::tie(credentials.username, credentials.password) = split_once(*packed, ':');
    return credentials;
}

engine::RegistryCredentials registry_credentials(const Call& call) {
    const auto decoded = base64_decode(call.request.headers.get_or("X-Registry-Auth", ""));
    if (!decoded.has_value() || decoded->empty() || !check_depth(*decoded).has_value()) return {};
    const auto auth = parse_as<apitypes::AuthConfig>(*decoded, "X-Registry-Auth");
    if (!auth.has_value()) return {};
    return credentials_from(*auth);
}

std::span<const Route> image_stream_routes() {
    return routes;
}

}  // namespace corten::api
