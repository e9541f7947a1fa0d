#include "../table.hpp"
#include "../verbs.hpp"
#include "rows.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

std::string names_of(const Json& names, bool shorten) {
    std::vector<std::string> out;
    for (const Json& entry : names) {
        std::string name = entry.get<std::string>();
        if (name.starts_with('/')) name.erase(0, 1);
        // "other/alias" is the name of a link, shown only in full.
        if (!shorten || name.find('/') == name.npos) out.push_back(std::move(name));
    }
    return join(out, ",");
}

std::string image_of(const Json& container, bool shorten) {
    std::string image = container.value("Image", "");
    if (image.empty()) return "<no image>";
    const bool is_id = image.starts_with("sha256:");
    if (!shorten) return image;
    if (is_id) return short_image_id(image);
    const auto at = image.find('@');
    return at == image.npos ? image : image.substr(0, at);
}

std::string size_of(const Json& container) {
    auto written = human_size(static_cast<double>(container.value("SizeRw", std::int64_t{0})), 3);
    const auto whole = container.value("SizeRootFs", std::int64_t{0});
    if (whole <= 0) return written;
    return fmt::format("{} (virtual {})", written, human_size(static_cast<double>(whole), 3));
}

std::string mounts_of(const Json& mounts, bool shorten) {
    std::vector<std::string> out;
    for (const Json& mount : mounts) {
        std::string name = mount.value("Name", "");
        if (name.empty()) name = mount.value("Source", "");
        out.push_back(shorten ? ellipsis(name, 15) : name);
    }
    return join(out, ",");
}

std::string local_volumes_of(const Json& mounts) {
    return std::to_string(std::ranges::count_if(
        mounts, [](const Json& mount) { return mount.value("Driver", "") == "local"; }));
}

std::string networks_of(const Json& container) {
    std::vector<std::string> names;
    const auto settings = container.find("NetworkSettings");
    if (settings != container.end() && settings->is_object() && settings->contains("Networks"))
        for (const auto& [name, value] : (*settings)["Networks"].items()) names.push_back(name);
    std::ranges::sort(names);
    return join(names, ",");
}

http::Query list_query(const FlagValues& flags, const std::string& format) {
    http::Query query;
    const bool all = flags.on("all");
    if (all) query.add("all", "1");
    const auto last = flags.on("latest") ? 1 : flags.integer("last");
    if (last > 0) query.add("limit", std::to_string(last));
    if (flags.on("size") || format.find(".Size") != format.npos) query.add("size", "1");
    return query;
}

ListFormat ps_format(const FlagValues& flags, const std::string& format) {
    ListFormat out{.format = format,
                   .table =
                       "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t"
                       "{{.Ports}}\t{{.Names}}",
                   .headers = {{"ID", "CONTAINER ID"},
                               {"Image", "IMAGE"},
                               {"Command", "COMMAND"},
                               {"CreatedAt", "CREATED AT"},
                               {"RunningFor", "CREATED"},
                               {"Ports", "PORTS"},
                               {"State", "STATE"},
                               {"Status", "STATUS"},
                               {"Size", "SIZE"},
                               {"Names", "NAMES"},
                               {"Labels", "LABELS"},
                               {"Mounts", "MOUNTS"},
                               {"LocalVolumes", "LOCAL VOLUMES"},
                               {"Networks", "NETWORKS"},
                               {"Platform", "PLATFORM"}},
                   .quiet = flags.on("quiet"),
                   .raw =
                       "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n"
                       "created_at: {{.CreatedAt}}\nstate:{{pad .State 1 0}}\n"
                       "status:{{pad .Status 1 0}}\nnames: {{.Names}}\n"
                       "labels:{{pad .Labels 1 0}}\nports:{{pad .Ports 1 0}}\n"};
    if (flags.on("size")) {
        out.table += "\t{{.Size}}";
        out.raw += "size: {{.Size}}\n";
    }
    out.headers[labels_member] = Json::object();
    return out;
}

}  // namespace

Json container_row(const Json& container, bool shorten) {
    const std::string id = container.value("Id", "");
    const std::string command = container.value("Command", "");
    const auto created = container.value("Created", std::int64_t{0});
    const Json& mounts = list_of(container, "Mounts");
    Json row = {{"Command", go_quoted(shorten ? ellipsis(command, 20) : command)},
                {"CreatedAt", local_time(created)},
                {"ID", shorten ? id.substr(0, 12) : id},
                {"Image", image_of(container, shorten)},
                {"Labels", join_labels(container.value("Labels", Json::object()))},
                {"LocalVolumes", local_volumes_of(mounts)},
                {"Mounts", mounts_of(mounts, shorten)},
                {"Names", names_of(list_of(container, "Names"), shorten)},
                {"Networks", networks_of(container)},
                {"Platform", Json()},
                {"Ports", ports_text(list_of(container, "Ports"))},
                {"RunningFor", time_ago(created)},
                {"Size", size_of(container)},
                {"State", container.value("State", "")},
                {"Status", container.value("Status", "")}};
    row[labels_member] = container.value("Labels", Json::object());
    return row;
}

Result<int> verb_ps(Context& context, const ParsedLine& line) {
    const std::string format = TRY(format_or_configured(context, line.flags, "psFormat"));
    http::Query query = list_query(line.flags, format);
    if (line.flags.given("filter"))
        query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    const Json containers = TRY(TRY(context.client())->get("/containers/json", std::move(query)));
    std::vector<Json> rows;
    for (const Json& container : containers)
        rows.push_back(container_row(container, !line.flags.on("no-trunc")));
    print(TRY(render_list(ps_format(line.flags, format), rows)));
    return 0;
}

}  // namespace corten::cli
