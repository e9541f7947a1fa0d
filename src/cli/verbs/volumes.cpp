#include "../specs.hpp"
#include "../table.hpp"
#include "../verbs.hpp"

#include <apitypes/volume.hpp>
#include <base/units.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

Json volume_row(const Json& volume) {
    Json row = {{"Availability", "N/A"},
                {"Driver", volume.value("Driver", "")},
                {"Group", "N/A"},
                {"Labels", join_labels(volume["Labels"])},
                {"Links", "N/A"},
                {"Mountpoint", volume.value("Mountpoint", "")},
                {"Name", volume.value("Name", "")},
                {"Scope", volume.value("Scope", "")},
                {"Size", "N/A"},
                {"Status", "N/A"}};
    row[labels_member] = volume["Labels"].is_object() ? volume["Labels"] : Json::object();
    return row;
}

}  // namespace

Result<int> verb_volume_ls(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.given("filter"))
        query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    const Json reply = TRY(TRY(context.client())->get("/volumes", query));
    std::vector<Json> rows;
    for (const Json& volume : reply.value("Volumes", Json::array()))
        rows.push_back(volume_row(volume));
    std::ranges::sort(rows, {}, [](const Json& row) { return row["Name"].get<std::string>(); });
    Json headers = {{"Name", "VOLUME NAME"}, {"Driver", "DRIVER"},
                    {"Scope", "SCOPE"},      {"Mountpoint", "MOUNTPOINT"},
                    {"Labels", "LABELS"},    {"Links", "LINKS"},
                    {"Size", "SIZE"}};
    headers[labels_member] = Json::object();
    print(TRY(render_list({.format = line.flags.text("format"),
                           .table = "{{.Driver}}\t{{.Name}}",
                           .headers = std::move(headers),
                           .quiet = line.flags.on("quiet"),
                           .quiet_template = "{{.Name}}",
                           .raw = "name: {{.Name}}\ndriver: {{.Driver}}\n"},
                          rows)));
    return 0;
}

Result<int> verb_volume_create(Context& context, const ParsedLine& line) {
    apitypes::VolumeCreateRequest request{.driver = line.flags.text("driver"),
                                          .driver_opts = parse_pairs(line.flags.list("opt")),
                                          .labels = parse_pairs(line.flags.list("label")),
                                          .name = line.flags.text("name")};
    if (!line.arguments.empty()) {
        if (!request.name.empty())
            return fail(ErrorKind::invalid,
                        "conflicting options: cannot specify a volume-name through "
                        "both --name and as a positional arg");
        request.name = line.arguments[0];
    }
    const Json volume = TRY(TRY(context.client())->post("/volumes/create", {}, to_json(request)));
    print_line(volume.value("Name", ""));
    return 0;
}

Result<int> verb_volume_rm(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.on("force")) query.add("force", "1");
    Client& client = *TRY(context.client());
    return echo_each_name(line.arguments, [&](const std::string& name) -> Result<void> {
        TRY(client.remove("/volumes/" + escape(name), query));
        return {};
    });
}

Result<int> verb_volume_prune(Context& context, const ParsedLine& line) {
    const bool all = line.flags.on("all");
    const std::string kind = all ? "local volumes" : "anonymous local volumes";
    const bool sure =
        line.flags.on("force") ||
        confirm(fmt::format("WARNING! This will remove {} not used by at least one container.\n"
                            "Are you sure you want to continue?",
                            kind));
    if (!sure) return 0;
    auto filters = line.flags.list("filter");
    if (all) filters.emplace_back("all=true");
    http::Query query;
    query.add("filters", TRY(encode_filters(filters)));
    const Json reply = TRY(TRY(context.client())->post("/volumes/prune", query));
    if (reply.contains("VolumesDeleted") && reply["VolumesDeleted"].is_array() &&
        !reply["VolumesDeleted"].empty()) {
        print("Deleted Volumes:\n");
        for (const Json& name : reply["VolumesDeleted"]) print_line(name.get<std::string>());
        print("\n");
    }
    print_line("Total reclaimed space: " +
               human_size(static_cast<double>(reply.value("SpaceReclaimed", std::int64_t{0}))));
    return 0;
}

}  // namespace corten::cli
