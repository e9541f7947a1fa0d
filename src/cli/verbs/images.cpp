// images, tag, rmi, history, image prune, search.
#include "../table.hpp"
#include "../verbs.hpp"
#include "pulling.hpp"
#include "rows.hpp"

#include <apitypes/image.hpp>
#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

constexpr const char* none = "<none>";

std::vector<std::string> strings_of(const Json& object, const char* name) {
    std::vector<std::string> out;
    const auto found = object.find(name);
    if (found == object.end() || !found->is_array()) return out;
    for (const Json& entry : *found)
        if (!entry.get<std::string>().starts_with(none)) out.push_back(entry.get<std::string>());
    return out;
}

std::string count_text(const Json& image, const char* name) {
    const auto count = image.value(name, std::int64_t{-1});
    return count < 0 ? "N/A" : std::to_string(count);
}

std::string size_text(const Json& image, const char* name) {
    const auto size = image.value(name, std::int64_t{-1});
    return size < 0 ? "N/A" : human_size(static_cast<double>(size), 3);
}

struct ShownName {
    std::string repository = none;
    std::string tag = none;
    std::string digest = none;
};

/// "repo@sha256:..." of the same repository goes with its tags; without tags it stands alone.
std::vector<ShownName> names_of(const Json& image, bool with_digests) {
    std::map<std::string, std::vector<std::string>> digests;
    for (const std::string& entry : strings_of(image, "RepoDigests")) {
        const auto [repository, digest] = split_once(entry, '@');
        digests[std::string(repository)].emplace_back(digest);
    }
    std::vector<ShownName> names;
    for (const std::string& entry : strings_of(image, "RepoTags")) {
        const auto colon = entry.rfind(':');
        ShownName name{entry.substr(0, colon), entry.substr(colon + 1), none};
        const auto found = digests.find(name.repository);
        if (found != digests.end() && with_digests) name.digest = found->second.front();
        names.push_back(std::move(name));
    }
    for (const auto& [repository, list] : digests) {
        const bool tagged = std::ranges::any_of(
            names, [&](const ShownName& name) { return name.repository == repository; });
        if (!tagged) names.push_back({repository, none, list.front()});
    }
    if (names.empty()) names.emplace_back();
    return names;
}

ListFormat images_format(const FlagValues& flags, const std::string& format) {
    ListFormat out{.format = format,
                   .table = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
                   .headers = {{"ID", "IMAGE ID"},
                               {"Repository", "REPOSITORY"},
                               {"Tag", "TAG"},
                               {"Digest", "DIGEST"},
                               {"CreatedSince", "CREATED"},
                               {"CreatedAt", "CREATED AT"},
                               {"Size", "SIZE"},
                               {"Containers", "CONTAINERS"},
                               {"VirtualSize", "SIZE"},
                               {"SharedSize", "SHARED SIZE"},
                               {"UniqueSize", "UNIQUE SIZE"}},
                   .quiet = flags.on("quiet")};
    std::string digest;
    if (flags.on("digests")) {
        out.table = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
        digest = "digest: {{.Digest}}\n";
    }
    out.raw = "repository: {{.Repository}}\ntag: {{.Tag}}\n" + digest +
              "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";
    if (out.quiet) out.raw = "image_id: {{.ID}}";
    return out;
}

Result<http::Query> images_query(const ParsedLine& line) {
    http::Query query;
    if (line.flags.on("all")) query.add("all", "1");
    auto filters = line.flags.list("filter");
    if (!line.arguments.empty()) filters.push_back("reference=" + line.arguments[0]);
    if (!filters.empty()) query.add("filters", TRY(encode_filters(filters)));
    return query;
}

void print_deleted(const Json& entries) {
    for (const Json& entry : entries) {
        if (entry.contains("Untagged"))
            print_line("Untagged: " + entry["Untagged"].get<std::string>());
        if (entry.contains("Deleted"))
            print_line("Deleted: " + entry["Deleted"].get<std::string>());
    }
}

/// Of "[REGISTRY/]TERM", whatever the term is: another registry must not get the hub's credentials.
std::string searched_registry(std::string_view term) {
    const auto [first, rest] = split_once(term, '/');
    const bool named = !rest.empty() && looks_like_domain(first) && first != "index.docker.io";
    return std::string(named ? first : "docker.io");
}

Json history_row(const Json& layer, bool shorten, bool human) {
    const std::string id = layer.value("Id", "");
    const auto created = layer.value("Created", std::int64_t{0});
    const auto size = layer.value("Size", std::int64_t{0});
    std::string command = layer.value("CreatedBy", "");
    std::ranges::replace(command, '\t', ' ');
    return {{"ID", shorten && id.starts_with("sha256:") ? short_image_id(id) : id},
            {"CreatedSince", human ? time_ago(created) : local_time(created)},
            {"CreatedAt", local_time(created)},
            {"CreatedBy", shorten ? ellipsis(command, 45) : command},
            {"Size", human ? human_size(static_cast<double>(size), 3) : std::to_string(size)},
            {"Comment", layer.value("Comment", "")}};
}

}  // namespace

std::vector<Json> image_rows(const Json& image, bool shorten, bool with_digests) {
    const std::string id = image.value("Id", "");
    const auto created = image.value("Created", std::int64_t{0});
    std::vector<Json> rows;
    for (const ShownName& name : names_of(image, with_digests))
        rows.push_back({{"Containers", count_text(image, "Containers")},
                        {"CreatedAt", local_time(created)},
                        {"CreatedSince", created > 0 ? time_ago(created) : "N/A"},
                        {"Digest", name.digest},
                        {"ID", shorten ? short_image_id(id) : id},
                        {"Repository", name.repository},
                        {"SharedSize", size_text(image, "SharedSize")},
                        {"Size", size_text(image, "Size")},
                        {"Tag", name.tag},
                        {"UniqueSize", "N/A"},
                        {"VirtualSize", size_text(image, "Size")}});
    return rows;
}

/// What would change the columns of a list has no meaning for the tree.
Result<int> show_tree(Context& context, const ParsedLine& line) {
    for (const char* flag : {"quiet", "no-trunc", "digests", "format"})
        if (line.flags.given(flag))
            return fail(ErrorKind::invalid, "--{} cannot be used with --tree", flag);
    auto query = TRY(images_query(line));
    query.add("manifests", "1");
    print(image_tree(TRY(TRY(context.client())->get("/images/json", query))));
    return 0;
}

Result<int> verb_images(Context& context, const ParsedLine& line) {
    if (line.flags.on("tree")) return show_tree(context, line);
    const std::string format = TRY(format_or_configured(context, line.flags, "imagesFormat"));
    const Json images = TRY(TRY(context.client())->get("/images/json", TRY(images_query(line))));
    const bool digests = line.flags.on("digests") || format.find(".Digest") != format.npos;
    std::vector<Json> rows;
    for (const Json& image : images)
        for (Json& row : image_rows(image, !line.flags.on("no-trunc"), digests))
            rows.push_back(std::move(row));
    print(TRY(render_list(images_format(line.flags, format), rows)));
    return 0;
}

Result<int> verb_tag(Context& context, const ParsedLine& line) {
    const Reference target = TRY(Reference::parse(line.arguments[1])).with_default_tag();
    if (!target.digest.empty())
        return fail(ErrorKind::invalid, "refusing to create a tag with a digest reference");
    http::Query query;
    query.add("repo", target.name());
    query.add("tag", target.tag);
    TRY(TRY(context.client())->post("/images/" + line.arguments[0] + "/tag", query));
    return 0;
}

Result<int> verb_rmi(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.on("force")) query.add("force", "1");
    if (line.flags.on("no-prune")) query.add("noprune", "1");
    for (const auto& platform : line.flags.list("platform"))
        query.add("platforms", dump_json(TRY(apitypes::platform_parameter(platform))));
    Client& client = *TRY(context.client());
    const bool force = line.flags.on("force");
    return for_each_name(line.arguments, [&](const std::string& name) -> Result<void> {
        const auto deleted = client.remove("/images/" + name, query);
        if (deleted) {
            print_deleted(*deleted);
            return {};
        }
        const bool gone = deleted.error().kind() == ErrorKind::not_found;
        if (!gone || !force) return deleted.error();
        print_error(deleted.error().message());
        return {};
    });
}

Result<int> verb_history(Context& context, const ParsedLine& line) {
    http::Query query;
    TRY(add_platform(query, line.flags));
    const Json layers =
        TRY(TRY(context.client())->get("/images/" + line.arguments[0] + "/history", query));
    const bool shorten = !line.flags.on("no-trunc");
    std::vector<Json> rows;
    for (const Json& layer : layers)
        rows.push_back(history_row(layer, shorten, line.flags.on("human")));
    print(TRY(
        render_list({.format = line.flags.text("format"),
                     .table = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
                     .headers = {{"ID", "IMAGE"},
                                 {"CreatedSince", "CREATED"},
                                 {"CreatedAt", "CREATED AT"},
                                 {"CreatedBy", "CREATED BY"},
                                 {"Size", "SIZE"},
                                 {"Comment", "COMMENT"}},
                     .quiet = line.flags.on("quiet")},
                    rows)));
    return 0;
}

Result<int> verb_image_prune(Context& context, const ParsedLine& line) {
    const bool all = line.flags.on("all");
    const std::string warning = all ? "WARNING! This will remove all images without at least one "
                                      "container associated to them."
                                    : "WARNING! This will remove all dangling images.";
    if (!line.flags.on("force") && !confirm(warning + "\nAre you sure you want to continue?"))
        return 0;
    auto filters = line.flags.list("filter");
    filters.push_back(all ? "dangling=false" : "dangling=true");
    http::Query query;
    query.add("filters", TRY(encode_filters(filters)));
    const Json reply = TRY(TRY(context.client())->post("/images/prune", query));
    if (reply.contains("ImagesDeleted") && reply["ImagesDeleted"].is_array()) {
        print("Deleted Images:\n");
        for (const Json& entry : reply["ImagesDeleted"]) {
            if (entry.contains("Untagged"))
                print_line("untagged: " + entry.value("Untagged", ""));
            else
                print_line("deleted: " + entry.value("Deleted", ""));
        }
        print("\n");
    }
    print_line("Total reclaimed space: " +
               human_size(static_cast<double>(reply.value("SpaceReclaimed", std::int64_t{0}))));
    return 0;
}

Result<int> verb_search(Context& context, const ParsedLine& line) {
    http::Query query;
    query.add("term", line.arguments[0]);
    if (line.flags.integer("limit") > 0)
        query.add("limit", std::to_string(line.flags.integer("limit")));
    if (line.flags.given("filter"))
        query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    Request request{.path = "/images/search", .query = std::move(query)};
    request.headers.set("X-Registry-Auth",
                        TRY(registry_auth(context, searched_registry(line.arguments[0]))));
    const Json results = TRY(TRY(context.client())->call(std::move(request)));
    std::vector<Json> rows;
    for (const Json& found : results) {
        std::string description = found.value("description", "");
        std::ranges::replace(description, '\n', ' ');
        rows.push_back(
            {{"Name", found.value("name", "")},
             {"Description", line.flags.on("no-trunc") ? description : ellipsis(description, 45)},
             {"StarCount", std::to_string(found.value("star_count", 0))},
             {"IsOfficial", found.value("is_official", false) ? "[OK]" : ""}});
    }
    print(TRY(render_list({.format = line.flags.text("format"),
                           .table = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
                           .headers = {{"Name", "NAME"},
                                       {"Description", "DESCRIPTION"},
                                       {"StarCount", "STARS"},
                                       {"IsOfficial", "OFFICIAL"}}},
                          rows)));
    return 0;
}

}  // namespace corten::cli
