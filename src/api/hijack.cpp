#include "hijack.hpp"

#include "errors.hpp"
#include "websocket_handshake.hpp"

#include <base/log.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

namespace corten::api {

namespace {

constexpr std::string_view raw_type = "application/vnd.docker.raw-stream";
constexpr std::string_view framed_type = "application/vnd.docker.multiplexed-stream";

enum class Form { plain, framed };

/// Best effort: the client may have gone, and there is nobody else to tell.
void say(const Fd& socket, const Error& error, Form form) {
    const std::string line = error.message() + "\r\n";
    http::make_socket_stream(Fd(::fcntl(socket.raw(), F_DUPFD_CLOEXEC, 0)))
        ->write(form == Form::plain ? line : frame(1, line), std::chrono::seconds(5))
        .ignore();
}

Result<void> hand_over(Call& call, engine::Attachment& attachment, http::Hijacked taken,
                       Form form) {
    const Fd ours(::fcntl(taken.socket.raw(), F_DUPFD_CLOEXEC, 0));
    if (!ours) return fail_errno("dup");
    auto connected = attachment.connect({std::move(taken.socket), std::move(taken.early)});
    if (!connected.has_value()) {
        log::error("{} {}: {}", call.request.method, call.request.path,
                   connected.error().message());
        say(ours, connected.error(), form);
    }
    return {};
}

std::string head_for(const Call& call, bool tty, CopyHeaders copy) {
    return hijack_head(call.request.headers.contains("Upgrade"), tty, call.version,
                       copy == CopyHeaders::yes ? call.answer.headers() : http::Headers());
}

}  // namespace

std::string frame(int stream, std::string_view bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::string out{static_cast<char>(stream), 0, 0, 0};
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(size >> shift);
    out += bytes;
    return out;
}

std::string hijack_head(bool upgrade, bool tty, ApiVersion version, const http::Headers& copied) {
    std::string head;
    if (upgrade) {
        const bool framed = !tty && version >= ApiVersion{1, 42};
        head = fmt::format(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: {}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n",
            framed ? framed_type : raw_type);
    } else {
        head = fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\n", raw_type);
    }
    copied.append_to(head);
    return head + "\r\n";
}

Result<void> connect_stream(Call& call, engine::Attachment& attachment, CopyHeaders copy) {
    const bool tty = attachment.tty();
    attachment.hold();
    auto taken = TRY(call.answer.hijack(head_for(call, tty, copy)));
    return hand_over(call, attachment, std::move(taken), tty ? Form::plain : Form::framed);
}

Result<void> connect_websocket(Call& call, engine::Attachment& attachment) {
    using Kind = http::MessageKind;
    const auto kind = call.version >= ApiVersion{1, 28} ? Kind::binary : Kind::text;
    const auto head = TRY(websocket_head(call.request.headers));
    attachment.hold();
    auto taken = TRY(call.answer.hijack_websocket(head, kind));
    return hand_over(call, attachment, std::move(taken), Form::plain);
}

Result<void> answer_raw_error(Call& call, const Error& error) {
    const int status = status_of(error.kind());
    TRY(call.answer.hijack(fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\n\r\n{}\r\n", status,
                                       http::reason_of(status), raw_type, error.message())));
    return {};
}

Result<void> answer_error_as_output(Call& call, const Error& error, bool tty) {
    const auto taken = TRY(call.answer.hijack(head_for(call, tty, CopyHeaders::yes)));
    say(taken.socket, error, tty ? Form::plain : Form::framed);
    return {};
}

}  // namespace corten::api
