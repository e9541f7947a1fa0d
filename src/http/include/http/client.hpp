#pragma once
// An HTTP/1.1 client: one Connection is one socket, used for one request after another.
//
//   auto connection = TRY(http::Connection::open({.kind = Endpoint::unix_socket, .path = path}));
//   auto response = TRY(connection->send({.method = "GET", .target = "/version"}));
//   std::string body = TRY(response.read_all());
//
// Redirects are the caller's business; nothing here retries. Not for use by two threads at once.
#include <base/stream.hpp>
#include <http/headers.hpp>
#include <http/stream.hpp>
#include <http/url.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace corten::http {

struct Endpoint {
    enum Kind { unix_socket, tcp } kind = tcp;
    std::string path;  ///< of a unix socket
    std::string host;
    std::string port;
    /// Speaks TLS when set (http/tls.hpp makes one).
    std::shared_ptr<const TlsConnector> tls;
    /// "http://[user:password@]host:port" of a proxy that is asked to CONNECT; empty for none.
    std::string proxy;
    /// What goes into Host when the request does not say it; host[:port] by default.
    std::string host_header;
};

struct Timeouts {
    std::chrono::milliseconds connect{10'000};  ///< connect, proxy and TLS handshake together
    /// Longest wait for the peer to send or take a byte; 0 waits for ever.
    std::chrono::milliseconds stall{0};
};

struct ClientRequest {
    std::string method = "GET";
    std::string target = "/";
    Headers headers;
    std::string body;
    /// Used instead of `body` when set; sent chunked unless its length is known.
    ByteSource producer;
    std::optional<std::uint64_t> length;
};

class Connection;

/// A stream that the peer agreed to switch to, and what it sent already.
struct Upgraded {
    std::unique_ptr<Stream> stream;
    std::string early;
};

/// The head of an answer, and its body as it arrives. Borrows its Connection: read the body, or
/// drop the response, before the next request.
class Response {
public:
    int status = 0;
    std::string reason;
    Headers headers;

    Response(Response&&) noexcept;
    Response& operator=(Response&&) noexcept;
    ~Response();

    /// The next bytes of the body; 0 at its end. Never more than one read(2) per call.
    Result<std::size_t> read(std::span<char> buffer);
    /// The rest of the body; more than `limit` bytes is an error.
    Result<std::string> read_all(std::size_t limit = 64 << 20);
    /// Content-Length, when there is one.
    std::optional<std::uint64_t> length() const;
    /// The connection's socket, to wait on with poll; bytes may already be buffered.
    FdView fd() const;
    /// True when read() has bytes that fd() does not announce.
    bool has_buffered() const;

private:
    friend class Connection;
    struct State;
    explicit Response(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

class Connection {
public:
    static Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint,
                                                    Timeouts timeouts = {});
    ~Connection();

    /// Sends the request and waits for the head of the answer. An answer that comes before the
    /// whole body is sent (a refused upload) ends the sending and is returned.
    Result<Response> send(const ClientRequest& request);
    /// False once the peer said so or the last answer was not read to its end: open a new one.
    /// Also false when the peer closed an idle connection.
    bool reusable() const;
    /// After a 101 answer (or a 200 whose body lasts until close) was returned by send(): gives up
    /// the stream. The connection is of no use afterwards; the response must be gone.
    Result<Upgraded> take_stream();
    void set_timeouts(Timeouts timeouts);

    struct State;

private:
    explicit Connection(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// The endpoint of an http or https URL; `tls` is used for https and must be set for it.
Result<Endpoint> endpoint_of(const Url& url, std::shared_ptr<const TlsConnector> tls);

/// The proxy for a URL as the environment has it: http_proxy or https_proxy, unless no_proxy
/// names the host (suffix ".example.com" or "example.com", an address, a CIDR block, or "*").
/// `lookup` gives the value of a variable, "" when it is not set; lower case goes first.
std::string proxy_for(const Url& url, const std::function<std::string(const std::string&)>& lookup);

}  // namespace corten::http
