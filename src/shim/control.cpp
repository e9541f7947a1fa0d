#include "control.hpp"

#include <sys/epoll.h>
#include <sys/socket.hpp>

namespace corten::shim {

Result<void> Control::listen(const std::string& path) {
    listener_ = TRY(sys::listen_unix(path, sys::SocketType::seqpacket, 0600));
    listener_watch_ = TRY(loop_.watch(listener_, EPOLLIN, [this](std::uint32_t) {
        // A failure concerns that peer alone, and it sees its connection end.
        if (auto socket = sys::accept(listener_)) add(std::move(*socket)).ignore();
    }));
    return {};
}

Result<void> Control::add(Fd socket) {
    Connection& connection = connections_.emplace_back();
    connection.socket = std::move(socket);
    auto watch = loop_.watch(connection.socket, EPOLLIN,
                             [this, &connection](std::uint32_t) { on_readable(connection); });
    if (!watch) {
        connections_.pop_back();
        return std::move(watch).error();
    }
    connection.watch = std::move(*watch);
    return {};
}

void Control::on_readable(Connection& connection) {
    auto received = proto::receive(connection.socket);
    if (received && !received->end) return answer(connection, *received);
    // A message that cannot be understood cannot be answered either: its sequence is unknown. The
    // peer sees the end of the connection instead of waiting for its timeout.
    connection.broken = true;
    drop_broken();
}

void Control::answer(Connection& connection, proto::Received& request) {
    step_.clear();
    proto::Envelope reply{.seq = request.envelope.seq, .type = "ok"};
    const auto handler = handlers_.find(request.envelope.type);
    Result<Json> body =
        handler != handlers_.end()
            ? handler->second(request)
            : fail(ErrorKind::unsupported, "unknown request \"{}\"", request.envelope.type);
    if (body) {
        reply.body = std::move(*body);
    } else {
        reply.type = "error";
        reply.body = to_json(proto::to_body(body.error(), step_));
    }
    connection.broken = !proto::send(connection.socket, std::move(reply)).has_value();
    if (connection.broken) drop_broken();
}

void Control::send_to_all(const proto::Envelope& envelope) {
    for (auto& connection : connections_)
        if (!proto::send(connection.socket, envelope)) connection.broken = true;
    drop_broken();
}

/// Later, as the connection may be the one whose handler is running.
void Control::drop_broken() {
    if (sweep_.pending()) return;
    sweep_ = loop_.after(std::chrono::milliseconds(0), [this] {
        const auto dropped = std::erase_if(connections_, [](const auto& c) { return c.broken; });
        if (dropped > 0) on_disconnect_();
    });
}

}  // namespace corten::shim
