// stop, kill, restart, pause, unpause, wait, rename, rm, update, container prune.
#include "../create_request.hpp"
#include "../parallel.hpp"
#include "../specs.hpp"
#include "../verbs.hpp"

#include <base/units.hpp>

namespace corten::cli {

namespace {

std::string path_of(const std::string& name, std::string_view action) {
    return fmt::format("/containers/{}/{}", escape(name), action);
}

/// A POST without a body on each container; "already so" is a success.
Result<int> post_each(Context& context, const ParsedLine& line, std::string_view action,
                      const http::Query& query) {
    return echo_each_in_parallel(context, line.arguments,
                                 [&](Client& client, const std::string& name) -> Result<bool> {
                                     const auto reply = client.post(path_of(name, action), query);
                                     if (!reply && reply.error().kind() != ErrorKind::not_modified)
                                         return reply.error();
                                     return true;
                                 });
}

http::Query stop_query(const FlagValues& flags) {
    http::Query query;
    if (!flags.text("signal").empty()) query.add("signal", flags.text("signal"));
    if (flags.given("timeout")) query.add("t", std::to_string(flags.integer("timeout")));
    return query;
}

std::string_view without_slash(std::string_view name) {
    while (name.starts_with('/')) name.remove_prefix(1);
    return name;
}

}  // namespace

Result<int> verb_stop(Context& context, const ParsedLine& line) {
    return post_each(context, line, "stop", stop_query(line.flags));
}

Result<int> verb_restart(Context& context, const ParsedLine& line) {
    return post_each(context, line, "restart", stop_query(line.flags));
}

Result<int> verb_kill(Context& context, const ParsedLine& line) {
    http::Query query;
    query.add("signal", line.flags.given("signal") ? line.flags.text("signal") : "SIGKILL");
    return post_each(context, line, "kill", query);
}

Result<int> verb_pause(Context& context, const ParsedLine& line) {
    return post_each(context, line, "pause", {});
}

Result<int> verb_unpause(Context& context, const ParsedLine& line) {
    return post_each(context, line, "unpause", {});
}

Result<int> verb_wait(Context& context, const ParsedLine& line) {
    Client& client = *TRY(context.client());
    return for_each_name(line.arguments, [&](const std::string& name) -> Result<void> {
        const Json reply = TRY(client.post(path_of(name, "wait")));
        print_line(std::to_string(reply.value("StatusCode", 0)));
        return {};
    });
}

Result<int> verb_rename(Context& context, const ParsedLine& line) {
    const std::string& wanted = line.arguments[1];
    if (without_slash(wanted).empty() || without_slash(line.arguments[0]).empty())
        return fail(ErrorKind::invalid, "Error: Neither old nor new names may be empty");
    http::Query query;
    query.add("name", wanted);
    TRY(TRY(context.client())->post(path_of(line.arguments[0], "rename"), query));
    return 0;
}

Result<int> verb_rm(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.on("force")) query.add("force", "1");
    if (line.flags.on("link")) query.add("link", "1");
    if (line.flags.on("volumes")) query.add("v", "1");
    const bool force = line.flags.on("force");
    return echo_each_in_parallel(
        context, line.arguments, [&](Client& client, const std::string& name) -> Result<bool> {
            const std::string_view bare = without_slash(name);
            if (bare.empty()) return fail(ErrorKind::invalid, "Container name cannot be empty");
            const auto reply = client.remove("/containers/" + escape(bare), query);
            if (reply) return true;
            const bool gone = reply.error().kind() == ErrorKind::not_found;
            if (!gone || !force) return reply.error();
            print_error(reply.error().message());  // --force is content when it is not there
            return false;
        });
}

Result<int> verb_update(Context& context, const ParsedLine& line) {
    apitypes::UpdateRequest request;
    TRY(fill_resources(line.flags, request));
    if (line.flags.given("pids-limit")) request.pids_limit = line.flags.integer("pids-limit");
    if (line.flags.given("restart"))
        request.restart_policy = TRY(parse_restart_policy(line.flags.text("restart")));
    Client& client = *TRY(context.client());
    const Json body = to_json(request);
    return echo_each_name(line.arguments, [&](const std::string& name) -> Result<void> {
        const Json reply = TRY(client.post(path_of(name, "update"), {}, body));
        if (reply.contains("Warnings") && reply["Warnings"].is_array())
            for (const Json& warning : reply["Warnings"]) print_error(warning.get<std::string>());
        return {};
    });
}

Result<int> verb_container_prune(Context& context, const ParsedLine& line) {
    const bool sure =
        line.flags.on("force") || confirm(
                                      "WARNING! This will remove all stopped containers.\n"
                                      "Are you sure you want to continue?");
    if (!sure) return 0;
    http::Query query;
    query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    const Json reply = TRY(TRY(context.client())->post("/containers/prune", query));
    if (reply.contains("ContainersDeleted") && reply["ContainersDeleted"].is_array() &&
        !reply["ContainersDeleted"].empty()) {
        print("Deleted Containers:\n");
        for (const Json& id : reply["ContainersDeleted"]) print_line(id.get<std::string>());
        print("\n");
    }
    print_line("Total reclaimed space: " +
               human_size(static_cast<double>(reply.value("SpaceReclaimed", std::int64_t{0}))));
    return 0;
}

}  // namespace corten::cli
