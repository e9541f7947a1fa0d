// inspect of anything, and of containers, images, networks and volumes.
#include "../verbs.hpp"
#include "pulling.hpp"
#include "rows.hpp"

namespace corten::cli {

namespace {

struct Kind {
    std::string_view name;
    std::string (*path)(const std::string& object);
};

std::string container_path(const std::string& name) {
    return "/containers/" + escape(name) + "/json";
}
std::string image_path(const std::string& name) {
    return "/images/" + name + "/json";
}
std::string network_path(const std::string& name) {
    return "/networks/" + escape(name);
}
std::string volume_path(const std::string& name) {
    return "/volumes/" + escape(name);
}

/// In the order in which a name is tried.
constexpr Kind kinds[] = {{"container", container_path},
                          {"image", image_path},
                          {"network", network_path},
                          {"volume", volume_path}};

http::Query query_for(const Kind& kind, const FlagValues& flags) {
    http::Query query;
    if (flags.on("size") && kind.name == "container") query.add("size", "1");
    return query;
}

/// The first kind that knows the name. Errors other than "there is none" end the search.
Result<Json> find_object(Client& client, const std::string& name, const FlagValues& flags) {
    const std::string& wanted = flags.text("type");
    for (const Kind& kind : kinds) {
        if (!wanted.empty() && kind.name != wanted) continue;
        auto object = client.get(kind.path(name), query_for(kind, flags));
        if (object) return object;
        const bool other = object.error().kind() != ErrorKind::not_found &&
                           object.error().kind() != ErrorKind::invalid;
        if (other) return object;
    }
    return fail(ErrorKind::not_found, "Error: No such {}: {}", wanted.empty() ? "object" : wanted,
                name);
}

/// The objects of one kind, by their paths.
Result<int> inspect_at(Context& context, const ParsedLine& line,
                       std::string (*path_of)(const std::string& name), const http::Query& query) {
    Client& client = *TRY(context.client());
    return inspect_each(line,
                        [&](const std::string& name) { return client.get(path_of(name), query); });
}

Result<void> check_type(const std::string& type) {
    if (type.empty()) return {};
    for (const Kind& kind : kinds)
        if (kind.name == type) return {};
    return fail(ErrorKind::invalid, "\"{}\" is not a valid value for --type", type);
}

}  // namespace

Result<int> verb_inspect(Context& context, const ParsedLine& line) {
    TRY(check_type(line.flags.text("type")));
    Client& client = *TRY(context.client());
    return inspect_each(
        line, [&](const std::string& name) { return find_object(client, name, line.flags); });
}

Result<int> verb_container_inspect(Context& context, const ParsedLine& line) {
    return inspect_at(context, line, container_path, query_for(kinds[0], line.flags));
}

Result<int> verb_image_inspect(Context& context, const ParsedLine& line) {
    http::Query query;
    TRY(add_platform(query, line.flags));
    return inspect_at(context, line, image_path, query);
}

Result<int> verb_network_inspect(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.on("verbose")) query.add("verbose", "true");
    return inspect_at(context, line, network_path, query);
}

Result<int> verb_volume_inspect(Context& context, const ParsedLine& line) {
    return inspect_at(context, line, volume_path, {});
}

}  // namespace corten::cli
