// run and create.
#include "../create_request.hpp"
#include "../exit_code.hpp"
#include "../terminal.hpp"
#include "../verbs.hpp"
#include "attached.hpp"
#include "pulling.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

namespace corten::cli {

namespace {

using apitypes::CreateRequest;

enum class PullPolicy { always, missing, never };

Result<PullPolicy> pull_policy(const std::string& text) {
    if (text == "always") return PullPolicy::always;
    if (text == "missing" || text.empty()) return PullPolicy::missing;
    if (text == "never") return PullPolicy::never;
    return fail(ErrorKind::invalid,
                "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
                text);
}

Result<void> pull_for(Context& context, const FlagValues& flags, const std::string& image) {
    return pull_image(context, TRY(Reference::parse(image)).with_default_tag(),
                      {.platform = flags.text("platform"),
                       .quiet = flags.on("quiet"),
                       .to_standard_error = true});
}

http::Query create_query(const FlagValues& flags) {
    http::Query query;
    if (!flags.text("name").empty()) query.add("name", flags.text("name"));
    if (!flags.text("platform").empty()) query.add("platform", flags.text("platform"));
    return query;
}

Result<void> check_id_file(const std::string& path) {
    if (path.empty() || !sys::exists(path)) return {};
    return fail(ErrorKind::conflict,
                "container ID file found, make sure the other container isn't "
                "running or delete {}",
                path);
}

/// Creates the container, pulling the image when it is missing. Gives its id.
Result<std::string> create_container(Context& context, const FlagValues& flags,
                                     const CreateRequest& request) {
    const PullPolicy policy = TRY(pull_policy(flags.text("pull")));
    const std::string& id_file = flags.text("cidfile");
    TRY(check_id_file(id_file));
    Client& client = *TRY(context.client());
    if (policy == PullPolicy::always) TRY(pull_for(context, flags, request.image));
    const Json body = to_json(request);
    auto reply = client.post("/containers/create", create_query(flags), body);
    if (!reply && policy == PullPolicy::missing && is_missing_image(reply.error())) {
        const Reference name = TRY(Reference::parse(request.image)).with_default_tag();
        if (!flags.on("quiet"))
            print_error(fmt::format("Unable to find image '{}' locally", name.familiar()));
        TRY(pull_for(context, flags, request.image));
        reply = client.post("/containers/create", create_query(flags), body);
    }
    if (!reply) return std::move(reply).error();
    for (const auto& warning : reply->value("Warnings", Json::array()))
        print_error(fmt::format("WARNING: {}", warning.get<std::string>()));
    std::string id = reply->value("Id", "");
    if (!id_file.empty()) TRY(sys::write_file_atomic(id_file, id, 0644));
    return id;
}

Result<void> forbid_attach_with_detach(const FlagValues& flags) {
    if (!flags.given("attach")) return {};
    return fail(ErrorKind::invalid,
                "conflicting options: cannot specify both --attach and --detach");
}

Result<int> run_in_background(Context& context, const FlagValues& flags, CreateRequest& request) {
    TRY(forbid_attach_with_detach(flags));
    request.attach_stdin = false;
    request.attach_stdout = false;
    request.attach_stderr = false;
    request.stdin_once = false;
    const std::string id = TRY(create_container(context, flags, request));
    TRY(TRY(context.client())->post("/containers/" + id + "/start"));
    print_line(id);
    return 0;
}

Result<int> run_in_foreground(Context& context, const FlagValues& flags, CreateRequest& request) {
    TRY(check_terminal(request.attach_stdin, request.tty));
    if (flags.given("detach-keys")) TRY(parse_detach_keys(flags.text("detach-keys")));
    if (request.tty) {
        const WindowSize size = window_size();
        request.host_config.console_size = {size.height, size.width};
    }
    // One for the attached stream, one to wait on, and one for the other requests.
    TRY(context.client())->connect_ahead(3);
    const std::string id = TRY(create_container(context, flags, request));
    return run_attached(
        *TRY(context.client()),
        {.id = id,
         .tty = request.tty,
         .input = request.attach_stdin,
         .output = request.attach_stdout,
         .errors = request.attach_stderr,
         .detach_keys = flags.given("detach-keys") ? flags.text("detach-keys") : "",
         .proxy_signals = flags.on("sig-proxy"),
         .wait_condition = request.host_config.auto_remove ? "removed" : "next-exit"});
}

Result<int> run_container(Context& context, const ParsedLine& line) {
    CreateRequest request = TRY(make_create_request(line));
    return line.flags.on("detach") ? run_in_background(context, line.flags, request)
                                   : run_in_foreground(context, line.flags, request);
}

Result<int> create_only(Context& context, const ParsedLine& line) {
    const CreateRequest request = TRY(make_create_request(line));
    print_line(TRY(create_container(context, line.flags, request)));
    return 0;
}

}  // namespace

Result<int> verb_run(Context& context, const ParsedLine& line) {
    const auto code = run_container(context, line);
    return code ? *code : report_run_error(code.error(), "run");
}

Result<int> verb_create(Context& context, const ParsedLine& line) {
    const auto code = create_only(context, line);
    if (code) return *code;
    report_run_error(code.error(), "create");
    return 1;
}

}  // namespace corten::cli
