// Containers: wait, attach, logs, resize.
#include "hijack.hpp"
#include "router.hpp"
#include "sizes.hpp"

#include <base/text.hpp>

#include <array>

namespace corten::api {

namespace {

Result<engine::WaitCondition> wait_condition(const std::string& text) {
    if (text.empty() || text == "not-running") return engine::WaitCondition::not_running;
    if (text == "next-exit") return engine::WaitCondition::next_exit;
    if (text == "removed") return engine::WaitCondition::removed;
    return fail(ErrorKind::invalid, "invalid condition: \"{}\"", text);
}

Result<void> wait(Call& call) {
    const auto condition = TRY(wait_condition(call.text("condition")));
    const auto waiter = TRY(call.engine.containers().begin_wait(call.name(), condition));
    // The head goes out now: clients start the container only when they have it.
    call.answer.headers().set("Content-Type", "application/json");
    TRY(call.answer.start(200));
    const auto result = TRY(waiter->wait(TRY(call.gone())));
    if (!result) return fail(ErrorKind::cancelled, "the client went away");
    apitypes::WaitReply reply{.status_code = result->exit_code};
    if (!result->error.empty()) reply.error = apitypes::WaitError{result->error};
    return call.answer.write(dump_json(to_json(reply)) + "\n");
}

engine::AttachRequest attach_request(const Call& call) {
    return {.stdin_stream = call.flag("stdin"),
            .stdout_stream = call.flag("stdout"),
            .stderr_stream = call.flag("stderr"),
            .logs = call.flag("logs"),
            .stream = call.flag("stream"),
            .detach_keys = call.text("detachKeys")};
}

Result<void> attach(Call& call) {
    const auto request = attach_request(call);
    // Clients that repeat the query as a body mean nothing else by it.
    TRY(call.request.read_whole_body());
    const auto attachment = call.engine.containers().attach(call.name(), request);
    if (!attachment.has_value()) return answer_raw_error(call, attachment.error());
    return connect_stream(call, **attachment, CopyHeaders::no);
}

Result<void> attach_websocket(Call& call) {
    auto request = attach_request(call);
    request.framed = false;
    // Before 1.42 it was all streams, whatever the query said.
    if (call.version < ApiVersion{1, 42})
        request.stdin_stream = request.stdout_stream = request.stderr_stream = true;
    const auto attachment = TRY(call.engine.containers().attach(call.name(), request));
    return connect_websocket(call, *attachment);
}

Result<engine::LogRequest> log_request(const Call& call) {
    engine::LogRequest request{.stdout_stream = call.flag("stdout"),
                               .stderr_stream = call.flag("stderr"),
                               .follow = call.flag("follow")};
    if (!request.stdout_stream && !request.stderr_stream)
        return fail(ErrorKind::invalid, "Bad parameters: you must choose at least one stream");
    request.since = TRY(call.time("since"));
    request.until = TRY(call.time("until"));
    const auto tail = call.text("tail");
    if (!tail.empty() && tail != "all") {
        const auto lines = parse_integer(tail, "tail");
        // Anything else that is no number means all, as it always did.
        if (lines.has_value() && *lines >= 0) request.tail = *lines;
    }
    return request;
}

/// Turns log lines into the bytes of the answer; held back until a packet's worth is there unless
/// somebody watches.
class LogWriter {
public:
    LogWriter(Call& call, bool tty, bool at_once)
        : call_(call),
          tty_(tty),
          at_once_(at_once),
          timestamps_(call.flag("timestamps")),
          details_(call.flag("details")) {}

    Result<void> write(const engine::LogLine& line) {
        std::string text;
        if (timestamps_) text += rfc3339_padded(line.time) + " ";
        // No driver here keeps attributes yet; their place is empty.
        if (details_) text += " ";
        text += line.text;
        held_ += tty_ ? text : frame(line.is_stderr ? 2 : 1, text);
        return at_once_ || held_.size() >= packet ? flush() : Result<void>();
    }
    Result<void> flush() {
        auto sent = call_.answer.write(held_);
        held_.clear();
        return sent;
    }

private:
    static constexpr std::size_t packet = 64 << 10;
    Call& call_;
    const bool tty_;
    const bool at_once_;
    const bool timestamps_;
    const bool details_;
    std::string held_;
};

Result<void> logs(Call& call) {
    const auto request = TRY(log_request(call));
    const auto stream = TRY(call.engine.containers().logs(call.name(), request));
    if (call.version >= ApiVersion{1, 42})
        call.answer.headers().set("Content-Type",
                                  stream->tty() ? "application/vnd.docker.raw-stream"
                                                : "application/vnd.docker.multiplexed-stream");
    // A pager that is not being scrolled is no reason to cut the log.
    call.answer.set_write_timeout(std::chrono::hours(1));
    TRY(call.answer.start(200));
    LogWriter writer(call, stream->tty(), request.follow);
    const FdView gone = TRY(call.gone());
    while (const auto line = TRY(stream->next(gone))) TRY(writer.write(*line));
    return writer.flush();
}

Result<void> resize(Call& call) {
    const auto size = TRY(terminal_size(call));
    TRY(call.engine.containers().resize(call.name(), size.rows, size.columns));
    return call.reply_empty(200);
}

constexpr std::array routes{
    Route{"POST", "/containers/{}/wait", wait},
    Route{"POST", "/containers/{}/attach", attach},
    Route{"GET", "/containers/{}/attach/ws", attach_websocket},
    Route{"GET", "/containers/{}/logs", logs},
    Route{"POST", "/containers/{}/resize", resize},
};

}  // namespace

Result<TerminalSize> terminal_size(const Call& call) {
    const auto number = [&](std::string_view key, std::string_view what) -> Result<std::uint16_t> {
        const auto text = call.request.query.get_or(key, "");
        const auto value = parse_integer(text, what);
        if (!value.has_value() || *value < 0 || *value > UINT32_MAX)
            return fail(ErrorKind::invalid,
                        "invalid resize {} \"{}\": not a number of character cells", what, text);
        // The kernel's winsize has 16 bits.
        return static_cast<std::uint16_t>(std::min<std::int64_t>(*value, UINT16_MAX));
    };
    TerminalSize size;
    size.rows = TRY(number("h", "height"));
    size.columns = TRY(number("w", "width"));
    return size;
}

std::span<const Route> container_stream_routes() {
    return routes;
}

}  // namespace corten::api
