#include "shapes.hpp"

#include <base/ids.hpp>

#include <algorithm>

namespace corten::api {

namespace {

bool is_predefined(const std::string& network) {
    return network == "bridge" || network == "host" || network == "none" || network == "default";
}

void add_once(apitypes::StringList& list, std::string item) {
    if (item.empty()) return;
    if (!list) list.emplace();
    if (std::ranges::find(*list, item) == list->end()) list->push_back(std::move(item));
}

}  // namespace

void shape(apitypes::ContainerInspect& inspect, ApiVersion version) {
    if (version >= ApiVersion{1, 45}) return;
    for (auto& [name, endpoint] : inspect.network_settings.networks) {
        if (!endpoint || is_predefined(name)) continue;
        add_once(endpoint->aliases, std::string(short_id(inspect.id)));
        add_once(endpoint->aliases, inspect.config.hostname);
    }
}

void shape(apitypes::ImageSummary& image, ApiVersion version) {
    if (version < ApiVersion{1, 51}) image.containers = -1;
    if (version < ApiVersion{1, 48}) image.descriptor.reset();
    if (version < ApiVersion{1, 44}) image.virtual_size = image.size;
    if (version >= ApiVersion{1, 43} || !apitypes::items(image.repo_tags).empty()) return;
    image.repo_tags = {"<none>:<none>"};
    if (apitypes::items(image.repo_digests).empty()) image.repo_digests = {"<none>@<none>"};
}

Json shaped_json(apitypes::ImageInspect image, ApiVersion version) {
    if (version < ApiVersion{1, 44}) image.virtual_size = image.size;
    if (version < ApiVersion{1, 48}) image.descriptor.reset();
    Json json = apitypes::to_json(image);
    if (version < ApiVersion{1, 45}) {
        json["Container"] = "";
        json["ContainerConfig"] = apitypes::to_json(apitypes::ContainerConfig{});
    }
    return json;
}

Json shaped_json(const apitypes::Info& info, ApiVersion version) {
    Json json = apitypes::to_json(info);
    if (version < ApiVersion{1, 47}) {
        json["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] = Json::array();
        json["RegistryConfig"]["AllowNondistributableArtifactsHostnames"] = Json::array();
    }
    return json;
}

void shape(apitypes::Event& event, ApiVersion version) {
    const bool repeats =
        version < ApiVersion{1, 52} && (event.type == "container" || event.type == "image");
    event.status = repeats ? event.action : "";
    event.id = repeats ? event.actor.id : "";
    const auto image = event.actor.attributes.find("image");
    const bool from = repeats && event.type == "container" && image != event.actor.attributes.end();
    event.from = from ? image->second : "";
}

}  // namespace corten::api
