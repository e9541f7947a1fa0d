#pragma once
// A server on a loopback port, and a client that sends exactly the bytes a test wants.
#include <http/client.hpp>
#include <http/server.hpp>
#include <sys/file.hpp>
#include <sys/socket.h>
#include <sys/time.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace corten::http {

class RawClient {
public:
    explicit RawClient(std::uint16_t port)
        : socket_(*connect_tcp("127.0.0.1", std::to_string(port),
                               Deadline::in(std::chrono::seconds(5)))) {
        const timeval limit{10, 0};
        ::setsockopt(socket_.raw(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    void send(std::string_view bytes) {
        // A server that refused already may have closed.
        (void)::send(socket_.raw(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    void half_close() { ::shutdown(socket_.raw(), SHUT_WR); }
    void close() { socket_.reset(); }
    /// Reads until `mark` has come `count` times, or the end.
    std::string read_until(std::string_view mark, int count = 1) {
        for (;;) {
            int seen = 0;
            for (auto at = got_.find(mark); at != std::string::npos; at = got_.find(mark, at + 1))
                ++seen;
            if (seen >= count || !more()) return got_;
        }
    }
    std::string read_to_end() {
        while (more()) {
        }
        return got_;
    }

private:
    bool more() {
        char buffer[4096];
        const auto got = ::recv(socket_.raw(), buffer, sizeof buffer, 0);
        if (got > 0) got_.append(buffer, static_cast<std::size_t>(got));
        return got > 0;
    }
    Fd socket_;
    std::string got_;
};

class RunningServer {
public:
    explicit RunningServer(Handler handler, ServerOptions options = {},
                           std::shared_ptr<const TlsAcceptor> tls = {})
        : server(Server::create(std::move(handler), std::move(options))) {
        port = *server->listen_tcp("127.0.0.1", "0", std::move(tls));
        EXPECT_TRUE(server->start().has_value());
    }
    Endpoint endpoint() const {
        return {.kind = Endpoint::tcp, .host = "127.0.0.1", .port = std::to_string(port)};
    }
    std::unique_ptr<Connection> connect() const { return *Connection::open(endpoint()); }
    RawClient raw() const { return RawClient(port); }

    std::unique_ptr<Server> server;
    std::uint16_t port = 0;
};

/// Answers with what was asked, body last.
inline void echo(Request& request, ResponseWriter& answer) {
    auto body = request.read_whole_body(1 << 20);
    if (!body.has_value()) {
        answer.send(400, body.error().message()).ignore();
        return;
    }
    answer.send(200, fmt::format("{} {} {}", request.method, request.path, *body)).ignore();
}

}  // namespace corten::http
