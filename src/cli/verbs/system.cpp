// version, events, system prune.
#include "../template.hpp"
#include "../verbs.hpp"
#include "rows.hpp"

#include <apitypes/version.hpp>
#include <base/clock.hpp>
#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

Json client_version() {
    return {{"Version", CORTEN_VERSION},
            {"ApiVersion", to_string(apitypes::newest)},
            {"Os", "linux"},
            {"Arch", CORTEN_ARCHITECTURE},
            {"Compiler", "clang " __clang_version__}};
}

std::string client_text(const Json& client) {
    return fmt::format(
        "Client: Corten\n Version:           {}\n API version:       {}\n"
        " OS/Arch:           {}/{}\n Compiler:          {}\n",
        client.value("Version", ""), client.value("ApiVersion", ""), client.value("Os", ""),
        client.value("Arch", ""), client.value("Compiler", ""));
}

std::string component_text(const Json& component) {
    std::string out = fmt::format(" {}:\n", component.value("Name", ""));
    out += fmt::format("  {:<17}{}\n", "Version:", component.value("Version", ""));
    const Json details = component.value("Details", Json::object());
    for (const auto& [key, value] : details.items())
        if (value.is_string())
            out += fmt::format("  {:<17}{}\n", key + ":", value.get<std::string>());
    return out;
}

std::string server_text(const Json& server) {
    std::string out = "\nServer:";
    const std::string platform =
        server.contains("Platform") ? server["Platform"].value("Name", "") : "";
    out += platform.empty() ? "\n" : " " + platform + "\n";
    for (const Json& component : server.value("Components", Json::array()))
        out += component_text(component);
    return out;
}

std::string event_text(const Json& event) {
    const Json& actor = event["Actor"];
    std::vector<std::string> attributes;
    for (const auto& [key, value] : actor["Attributes"].items())
        attributes.push_back(key + "=" + value.get<std::string>());
    std::ranges::sort(attributes);
    const WallTime time{std::chrono::nanoseconds(event.value("timeNano", std::int64_t{0}))};
    std::string text = fmt::format("{} {} {} {}", rfc3339_padded(time), event.value("Type", ""),
                                   event.value("Action", ""), actor.value("ID", ""));
    return attributes.empty() ? text : text + " (" + join(attributes, ", ") + ")";
}

Result<std::int64_t> prune(Client& client, const std::string& path, const Json& filters,
                           const char* deleted, std::string_view title) {
    http::Query query;
    query.add("filters", dump_json(filters));
    const Json reply = TRY(client.post(path, query));
    if (!list_of(reply, deleted).empty()) {
        print(fmt::format("{}:\n", title));
        for (const Json& entry : list_of(reply, deleted)) {
            if (entry.is_string())
                print_line(entry.get<std::string>());
            else if (entry.contains("Untagged"))
                print_line("untagged: " + entry.value("Untagged", ""));
            else
                print_line("deleted: " + entry.value("Deleted", ""));
        }
        print("\n");
    }
    return number(reply, "SpaceReclaimed");
}

std::string prune_warning(bool all, bool volumes) {
    std::string out =
        "WARNING! This will remove:\n  - all stopped containers\n"
        "  - all networks not used by at least one container\n";
    if (volumes) out += "  - all anonymous volumes not used by at least one container\n";
    out += all ? "  - all images without at least one container associated to them\n"
               : "  - all dangling images\n";
    return out + "\nAre you sure you want to continue?";
}

}  // namespace

Result<int> verb_version(Context& context, const ParsedLine& line) {
    Json all = {{"Client", client_version()}, {"Server", nullptr}};
    std::optional<Error> failure;
    if (!line.flags.on("client")) {
        auto server = TRY(context.client())->get("/version");
        if (server)
            all["Server"] = std::move(*server);
        else
            failure = server.error();
    }
    const std::string& format = line.flags.text("format");
    if (!format.empty()) {
        if (failure) return *failure;
        return print_formatted(all, format);
    }
    print(client_text(all["Client"]));
    if (failure) return *failure;
    if (all["Server"].is_object()) print(server_text(all["Server"]));
    return 0;
}

Result<int> verb_events(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.given("filter"))
        query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    if (line.flags.given("since"))
        query.add("since", TRY(time_parameter(line.flags.text("since"))));
    if (line.flags.given("until"))
        query.add("until", TRY(time_parameter(line.flags.text("until"))));
    const std::string& format = line.flags.text("format");
    std::optional<Template> parsed;
    if (!format.empty()) parsed = TRY(parse_format(format).context("Error parsing format"));
    Reply reply = TRY(TRY(context.client())->open({.path = "/events", .query = std::move(query)}));
    TRY(reply.each_line([&](const Json& event) -> Result<bool> {
        print_line(parsed ? TRY(parsed->execute(event)) : event_text(event));
        return true;
    }));
    return 0;
}

Result<int> verb_system_prune(Context& context, const ParsedLine& line) {
    const bool all = line.flags.on("all");
    const bool volumes = line.flags.on("volumes");
    const auto& wanted = line.flags.list("filter");
    const auto is_until = [](const std::string& text) { return text.starts_with("until="); };
    if (volumes && std::ranges::any_of(wanted, is_until))
        return fail(ErrorKind::invalid,
                    "ERROR: The \"until\" filter is not supported with \"--volumes\"");
    if (!line.flags.on("force") && !confirm(prune_warning(all, volumes))) return 0;
    const Json filters = TRY(parse_json(TRY(encode_filters(wanted)), "filters"));
    Client& client = *TRY(context.client());
    std::int64_t space =
        TRY(prune(client, "/containers/prune", filters, "ContainersDeleted", "Deleted Containers"));
    TRY(prune(client, "/networks/prune", filters, "NetworksDeleted", "Deleted Networks"));
    if (volumes)
        space += TRY(prune(client, "/volumes/prune", filters, "VolumesDeleted", "Deleted Volumes"));
    Json images = filters;
    images["dangling"] = {{all ? "false" : "true", true}};
    space += TRY(prune(client, "/images/prune", images, "ImagesDeleted", "Deleted Images"));
    print_line("Total reclaimed space: " + human_size(static_cast<double>(space)));
    return 0;
}

}  // namespace corten::cli
