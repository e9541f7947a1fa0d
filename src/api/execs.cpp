// Programs started in a running container.
#include "hijack.hpp"
#include "router.hpp"
#include "sizes.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> create(Call& call) {
    auto request = TRY(call.body_as<apitypes::ExecCreateRequest>());
    if (request.cmd.empty()) return fail(ErrorKind::invalid, "No exec command specified");
    const auto id = TRY(call.engine.execs().create(call.name(), std::move(request)));
    return call.reply(201, apitypes::IdReply{id});
}

Result<void> start(Call& call) {
    const auto request = TRY(call.body_as<apitypes::ExecStartRequest>());
    if (request.detach) {
        TRY(call.engine.execs().start_detached(call.name()));
        return call.reply_empty(200);
    }
    const auto attachment = call.engine.execs().prepare_start(call.name(), request);
    if (attachment.has_value()) return connect_stream(call, **attachment, CopyHeaders::yes);
    // Only that the exec does not exist is said with a status.
    const auto& error = attachment.error();
    if (error.kind() == ErrorKind::not_found) return error;
    return answer_error_as_output(call, error, request.tty);
}

Result<void> resize(Call& call) {
    const auto size = TRY(terminal_size(call));
    TRY(call.engine.execs().resize(call.name(), size.rows, size.columns));
    return call.reply_empty(200);
}

Result<void> inspect(Call& call) {
    return call.reply(200, TRY(call.engine.execs().inspect(call.name())));
}

constexpr std::array routes{
    Route{"POST", "/containers/{}/exec", create},
    Route{"POST", "/exec/{}/start", start},
    Route{"POST", "/exec/{}/resize", resize},
    Route{"GET", "/exec/{}/json", inspect},
};

}  // namespace

std::span<const Route> exec_routes() {
    return routes;
}

}  // namespace corten::api
