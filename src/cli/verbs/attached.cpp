#include "attached.hpp"

#include "../session.hpp"

namespace corten::cli {

namespace {

http::Query attach_query(const AttachedRun& run) {
    http::Query query;
    if (!run.detach_keys.empty()) query.add("detachKeys", run.detach_keys);
    if (run.errors) query.add("stderr", "1");
    if (run.input) query.add("stdin", "1");
    if (run.output) query.add("stdout", "1");
    query.add("stream", "1");
    return query;
}

Result<Reply> open_wait(Client& client, const AttachedRun& run) {
    http::Query query;
    query.add("condition", run.wait_condition);
    return client.open(
        {.method = "POST", .path = "/containers/" + run.id + "/wait", .query = std::move(query)});
}

/// The wait request was sent before the start; its body comes when the container has ended.
Result<int> exit_code_from(Reply wait) {
    auto reply = wait.json();
    if (!reply) return std::move(reply).error().context("error waiting for container");
    const auto error = reply->find("Error");
    if (error != reply->end() && error->is_object() && error->contains("Message")) {
        const auto message = (*error)["Message"].get<std::string>();
        if (!message.empty()) return Error(ErrorKind::internal, message);
    }
    return reply->value("StatusCode", 0);
}

Result<SessionOptions> session_options(Client& client, const AttachedRun& run) {
    SessionOptions options{.tty = run.tty, .send_input = run.input};
    if (!run.detach_keys.empty()) options.detach_keys = TRY(parse_detach_keys(run.detach_keys));
    if (!run.tty) options.detach_keys.clear();
    const std::string path = "/containers/" + run.id;
    // A failed resize or signal is survived: the container may have ended in between.
    if (run.tty && is_terminal(standard_output()))
        options.on_resize = [&client, path](WindowSize) { resize(client, path).ignore(); };
    if (run.proxy_signals)
        options.on_signal = [&client, path](int number) {
            http::Query query;
            query.add("signal", signal_name(number));
            client.post(path + "/kill", query).ignore();
        };
    return options;
}

/// After a failed start of a container that removes itself, waits until it is gone: the user may
/// use its name at once.
Error failed_start(Error error, const AttachedRun& run, Reply wait) {
    if (run.wait_condition == "removed") wait.text().ignore();
    return error;
}

}  // namespace

Result<void> resize(Client& client, const std::string& path) {
    const WindowSize size = window_size();
    if (size.height == 0 && size.width == 0) return {};
    http::Query query;
    query.add("h", std::to_string(size.height));
    query.add("w", std::to_string(size.width));
    TRY(client.post(path + "/resize", std::move(query)));
    return {};
}

Result<void> check_terminal(bool input, bool tty) {
    if (!input || !tty || is_terminal(standard_input())) return {};
    return fail(ErrorKind::conflict, "the input device is not a TTY");
}

Result<int> run_attached(Client& client, const AttachedRun& run) {
    auto options = TRY(session_options(client, run));
    const std::string path = "/containers/" + run.id;
    // The wait first: attaching gives the daemon work to do, and its answer would come after that.
    Reply wait = TRY(open_wait(client, run));
    auto stream = TRY(
        client.hijack({.method = "POST", .path = path + "/attach", .query = attach_query(run)}));
    SessionEnd end{};
    {
        Session session = TRY(Session::prepare(std::move(options)));
        if (run.start) {
            const auto started = client.post(path + "/start");
            if (!started) return failed_start(started.error(), run, std::move(wait));
        }
        if (run.tty) resize(client, path).ignore();
        end = TRY(session.run(std::move(stream)));
    }  // the terminal is the user's again
    if (end == SessionEnd::detached) return 0;
    return exit_code_from(std::move(wait));
}

}  // namespace corten::cli
