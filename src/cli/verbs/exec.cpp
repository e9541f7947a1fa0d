#include "../exit_code.hpp"
#include "../session.hpp"
#include "../specs.hpp"
#include "../verbs.hpp"
#include "attached.hpp"

#include <apitypes/exec.hpp>

namespace corten::cli {

namespace {

using apitypes::ExecCreateRequest;
using apitypes::ExecStartRequest;

Result<ExecCreateRequest> make_request(const ParsedLine& line) {
    const FlagValues& flags = line.flags;
    ExecCreateRequest request{
        .user = flags.text("user"),
        .privileged = flags.on("privileged"),
        .tty = flags.on("tty"),
        .detach = flags.on("detach"),
        .detach_keys = flags.given("detach-keys") ? flags.text("detach-keys") : "",
        .working_dir = flags.text("workdir"),
    };
    auto environment = TRY(parse_environment(flags.list("env-file"), flags.list("env")));
    if (!environment.empty()) request.env = std::move(environment);
    request.cmd.list = apitypes::Strings(line.arguments.begin() + 1, line.arguments.end());
    if (request.detach) return request;
    request.attach_stdin = flags.on("interactive");
    request.attach_stdout = true;
    request.attach_stderr = true;
    const WindowSize size = window_size();
    if (request.tty && size.height != 0) request.console_size = {size.height, size.width};
    return request;
}

Result<SessionOptions> session_options(Client& client, const ExecCreateRequest& request,
                                       const std::string& path) {
    SessionOptions options{.tty = request.tty, .send_input = request.attach_stdin};
    if (!request.tty)
        options.detach_keys.clear();
    else if (!request.detach_keys.empty())
        options.detach_keys = TRY(parse_detach_keys(request.detach_keys));
    // The process may have ended in between.
    if (request.tty && is_terminal(standard_output()))
        options.on_resize = [&client, path](WindowSize) { resize(client, path).ignore(); };
    return options;
}

Result<int> run_session(Client& client, const ExecCreateRequest& request, const std::string& path) {
    auto options = TRY(session_options(client, request, path));
    const ExecStartRequest start{.tty = request.tty, .console_size = request.console_size};
    SessionEnd end{};
    {
        Session session = TRY(Session::prepare(std::move(options)));
        auto stream =
            TRY(client.hijack({.method = "POST", .path = path + "/start", .json = to_json(start)}));
        if (request.tty) resize(client, path).ignore();
        end = TRY(session.run(std::move(stream)));
    }
    if (end == SessionEnd::detached) return 0;
    const Json inspect = TRY(client.get(path + "/json"));
    return inspect["ExitCode"].is_number() ? inspect["ExitCode"].get<int>() : 0;
}

}  // namespace

Result<int> verb_exec(Context& context, const ParsedLine& line) {
    const ExecCreateRequest request = TRY(make_request(line));
    TRY(check_terminal(request.attach_stdin, request.tty));
    Client& client = *TRY(context.client());
    const Json reply = TRY(
        client.post("/containers/" + escape(line.arguments[0]) + "/exec", {}, to_json(request)));
    const std::string path = "/exec/" + reply.value("Id", "");
    if (!request.detach) return run_session(client, request, path);
    const ExecStartRequest start{.detach = true, .tty = request.tty};
    TRY(client.post(path + "/start", {}, to_json(start)));
    return 0;
}

}  // namespace corten::cli
