#pragma once
// An HTTP/1.1 server: one thread per connection, handlers are plain blocking code.
//
//   auto server = http::Server::create([](http::Request& request, http::ResponseWriter& answer) {
//       answer.send(200, "OK").ignore();   // a client that went away is no business of ours
//   });
//   TRY(server->listen_unix({.path = "/run/x.sock", .mode = 0660}));
//   server->start();  ...  server->stop(15s);
#include <base/stream.hpp>
#include <http/headers.hpp>
#include <http/stream.hpp>
#include <http/url.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace corten::http {

class ServerConnection;

class Request {
public:
    std::string method;
    std::string path;  ///< as sent (percent-encoded), without the query
    Query query;
    Headers headers;
    std::string peer;  ///< "pid 123 uid 0" or "192.0.2.1:4711", for messages

    /// The next bytes of the body; 0 at its end. Tells a client that asked (Expect: 100-continue)
    /// to send it.
    Result<std::size_t> read_body(std::span<char> buffer);
    /// The rest of the body; more than `limit` bytes is an error of kind no_space.
    Result<std::string> read_whole_body(std::size_t limit = 8 << 20);
    /// The body as a stream; valid as long as the request.
    ByteSource body();
    /// Content-Length, 0 when there is no body, nullopt when it is chunked.
    std::optional<std::uint64_t> body_length() const;

private:
    friend class ServerConnection;
    explicit Request(ServerConnection& connection) : connection_(connection) {}
    ServerConnection& connection_;
};

/// A connection that was taken out of HTTP.
struct Hijacked {
    Fd socket;          ///< carries the client's plain bytes (behind TLS: one end of a pumped pair)
    std::string early;  ///< what the client sent already
};

/// What kind of messages a websocket sends.
enum class MessageKind : std::uint8_t { text, binary };

class ResponseWriter {
public:
    /// Fields of the answer; Date, Content-Length, Transfer-Encoding and Connection are added.
    Headers& headers() { return headers_; }

    /// The whole answer. No body is sent for HEAD, 204 and 304.
    Result<void> send(int status, std::string_view body);
    /// The head, at once; the body follows with write(). Its length is sent when it is known.
    Result<void> start(int status, std::optional<std::uint64_t> length = {});
    /// Some of the body, at once. Fails when the client is gone or takes nothing for the write
    /// time-out.
    Result<void> write(std::string_view bytes);
    /// write() as a sink for whoever makes the body; valid as long as the writer.
    ByteSink sink();
    /// Marks a started answer as broken: the connection is cut, so that the client notices.
    void abort();
    /// How long one write may wait for a client that takes nothing; ServerOptions' by default.
    void set_write_timeout(std::chrono::milliseconds time);

    bool started() const { return started_; }
    int status() const { return status_; }

    /// Readable (see poll) once the client has closed its side, or the server is to stop. Handlers
    /// that wait for something wait for this too. Valid as long as the writer.
    Result<FdView> gone_fd();
    bool client_gone();

    /// Writes `head` as it is and takes the connection over. Read the request's body first.
    Result<Hijacked> hijack(std::string_view head);
    /// The same for a websocket, whose handshake `head` answers: the socket carries the content of
    /// the messages.
    Result<Hijacked> hijack_websocket(std::string_view head, MessageKind kind);

private:
    friend class ServerConnection;
    explicit ResponseWriter(ServerConnection& connection) : connection_(connection) {}
    Result<void> send_head(int status, std::string_view framing, std::string_view body);
    /// Ends a chunked body.
    Result<void> finish();

    ServerConnection& connection_;
    Headers headers_;
    int status_ = 0;
    bool started_ = false;
    bool chunked_ = false;
    bool bodiless_ = false;
    bool finished_ = false;
};

using Handler = std::function<void(Request&, ResponseWriter&)>;

struct ServerOptions {
    std::size_t most_connections = 4096;            ///< further ones are answered 503 and closed
    std::chrono::milliseconds header_time{30'000};  ///< for a whole head, and a TLS handshake
    std::chrono::milliseconds idle_time{300'000};   ///< between requests
    std::chrono::milliseconds body_stall{600'000};  ///< without a byte of a request body
    std::chrono::milliseconds write_stall{60'000};  ///< a reader that takes nothing is dropped
    /// Virtual size of a connection's stack: pages are only used when touched.
    std::size_t stack_bytes = 1 << 20;
    /// Told about what no client can be told: accept errors, exceptions of handlers.
    std::function<void(const Error&)> on_error;
};

struct UnixListener {
    std::string path;
    mode_t mode = 0660;
    std::optional<gid_t> group;
};

class Server {
public:
    static std::unique_ptr<Server> create(Handler handler, ServerOptions options = {});
    ~Server();

    Result<void> listen_unix(const UnixListener& listener);
    /// Gives the port, of use when `port` is "0". An empty host is every address.
    Result<std::uint16_t> listen_tcp(const std::string& host, const std::string& port,
                                     std::shared_ptr<const TlsAcceptor> tls = {});
    /// A listening socket that somebody else made (socket activation).
    void adopt(Fd listener, std::shared_ptr<const TlsAcceptor> tls = {});

    /// Starts to accept. Listeners are added before.
    Result<void> start();
    /// Accepts no more, lets requests end for `grace`, then cuts connections. Gives one line for
    /// each handler that still did not end; the process should then exit without destructors.
    std::vector<std::string> stop(std::chrono::milliseconds grace);
    std::size_t connections() const;

    struct Shared;

private:
    explicit Server(std::shared_ptr<Shared> shared);
    void accept_loop();

    struct Listener {
        Fd fd;
        std::shared_ptr<const TlsAcceptor> tls;
    };
    std::shared_ptr<Shared> shared_;
    std::vector<Listener> listeners_;
    std::unique_ptr<std::thread> thread_;
};

/// "OK" for 200 and so on; "Status 599" for what nobody knows.
std::string reason_of(int status);

}  // namespace corten::http
