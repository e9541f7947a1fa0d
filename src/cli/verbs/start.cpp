// start and attach.
#include "../exit_code.hpp"
#include "../verbs.hpp"
#include "attached.hpp"

#include <base/text.hpp>

namespace corten::cli {

namespace {

AttachedRun attached_run(const Json& inspect, const FlagValues& flags) {
    const Json& config = inspect["Config"];
    return {.id = inspect.value("Id", ""),
            .tty = config.value("Tty", false),
            .detach_keys = flags.given("detach-keys") ? flags.text("detach-keys") : "",
            .proxy_signals = flags.on("sig-proxy")};
}

Result<int> start_attached(Client& client, const ParsedLine& line) {
    if (line.arguments.size() > 1)
        return fail(ErrorKind::invalid, "you cannot start and attach multiple containers at once");
    const Json inspect = TRY(client.get("/containers/" + escape(line.arguments[0]) + "/json"));
    AttachedRun run = attached_run(inspect, line.flags);
    run.input = line.flags.on("interactive") && inspect["Config"].value("OpenStdin", false);
    run.proxy_signals = line.flags.on("attach");
    run.wait_condition = inspect["HostConfig"].value("AutoRemove", false) ? "removed" : "next-exit";
    TRY(check_terminal(run.input, run.tty));
    return run_attached(client, run);
}

Result<int> start_all(Client& client, const std::vector<std::string>& names) {
    std::string failed;
    for (const std::string& name : names) {
        const auto started = client.post("/containers/" + escape(name) + "/start");
        if (started || started.error().kind() == ErrorKind::not_modified) {
            print_line(name);
            continue;
        }
        print_error(started.error().message());
        failed += (failed.empty() ? "" : ", ") + name;
    }
    if (failed.empty()) return 0;
    return fail(ErrorKind::conflict, "Error: failed to start containers: {}", failed);
}

Result<void> check_attachable(const Json& state) {
    if (!state.value("Running", false))
        return fail(ErrorKind::conflict, "cannot attach to a stopped container, start it first");
    if (state.value("Paused", false))
        return fail(ErrorKind::conflict, "cannot attach to a paused container, unpause it first");
    if (state.value("Restarting", false))
        return fail(ErrorKind::conflict,
                    "cannot attach to a restarting container, wait until it is running");
    return {};
}

}  // namespace

Result<int> verb_start(Context& context, const ParsedLine& line) {
    Client& client = *TRY(context.client());
    const bool attached = line.flags.on("attach") || line.flags.on("interactive");
    if (!attached) return start_all(client, line.arguments);
    const auto code = start_attached(client, line);
    if (code) return *code;
    print_error(code.error().message());
    return 1;
}

Result<int> verb_attach(Context& context, const ParsedLine& line) {
    Client& client = *TRY(context.client());
    const Json inspect = TRY(client.get("/containers/" + escape(line.arguments[0]) + "/json"));
    TRY(check_attachable(inspect["State"]));
    AttachedRun run = attached_run(inspect, line.flags);
    run.input = !line.flags.on("no-stdin") && inspect["Config"].value("OpenStdin", false);
    run.wait_condition = "not-running";
    run.start = false;
    TRY(check_terminal(run.input, run.tty));
    return run_attached(client, run);
}

}  // namespace corten::cli
