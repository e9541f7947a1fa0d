#pragma once
// Requests to the daemon. Paths carry no version prefix: the daemon then answers in its newest
// version, and the first round trip that would settle a version is saved. CORTEN_API_VERSION (or
// DOCKER_API_VERSION) fixes one.
#include <base/json.hpp>
#include <base/stream.hpp>
#include <http/client.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace corten::cli {

struct Request {
    std::string method = "GET";
    std::string path;  ///< "/containers/json", percent-encoded where it has to be
    http::Query query;
    std::optional<Json> json;
    ByteSource body;  ///< sent chunked, instead of `json`
    std::string content_type;
    http::Headers headers;
};

/// A reply whose body is read as it comes. Keeps its connection.
class Reply {
public:
    Reply(std::unique_ptr<http::Connection> connection, http::Response response)
        : connection_(std::move(connection)), response_(std::move(response)) {}
    Reply(Reply&& other) noexcept = default;
    Reply& operator=(Reply&&) = delete;

    const http::Headers& headers() const { return response_.headers; }
    int status() const { return response_.status; }
    Result<std::size_t> read(std::span<char> buffer) { return response_.read(buffer); }
    Result<std::string> text() { return response_.read_all(); }
    /// The whole body as JSON.
    Result<Json> json();
    /// Calls `take` for each JSON value of a stream of values, one to a line, until it ends or
    /// `take` gives false.
    Result<void> each_line(const std::function<Result<bool>(const Json&)>& take);
    FdView fd() const { return response_.fd(); }
    bool has_buffered() const { return response_.has_buffered(); }

private:
    friend class Client;
    std::unique_ptr<http::Connection> connection_;  // outlives response_, which borrows it
    http::Response response_;
};

class Client {
public:
    Client(http::Endpoint endpoint, std::string address, std::string prefix)
        : endpoint_(std::move(endpoint)),
          address_(std::move(address)),
          prefix_(std::move(prefix)) {}

    /// Sends and gives a reply with a status below 400. Errors carry the daemon's own message as
    /// "Error response from daemon: ..." and the kind that its status stands for.
    Result<Reply> open(Request request);
    /// The same, and reads the whole body; {} when it is empty.
    Result<Json> call(Request request);
    Result<Json> get(std::string path, http::Query query = {});
    Result<Json> post(std::string path, http::Query query = {}, std::optional<Json> body = {});
    Result<Json> remove(std::string path, http::Query query = {});

    /// Asks for a raw stream (attach, exec start).
    Result<http::Upgraded> hijack(Request request);
    /// True when the daemon frames the stream of the last hijack by its content type.
    bool hijacked_is_multiplexed() const { return multiplexed_; }

    /// Opens connections for requests that will follow one another closely: the daemon has their
    /// threads ready by then. What fails here fails again, with words, when it is needed.
    void connect_ahead(std::size_t count);

    /// As given with -H or in the environment.
    const std::string& address() const { return address_; }

    /// Puts a connection that is free again aside for the next request.
    void recycle(Reply reply);

private:
    Result<std::unique_ptr<http::Connection>> connect();
    Result<Reply> send(Request request, bool upgrade);

    http::Endpoint endpoint_;
    std::string address_;
    std::string prefix_;
    std::vector<std::unique_ptr<http::Connection>> idle_;
    bool multiplexed_ = false;
};

/// Where the daemon is, and how to speak to it: "unix:///run/x.sock", "tcp://host:port",
/// "host:port", "/run/x.sock".
struct HostOptions {
    std::string address;
    bool tls = false;
    bool tls_verify = false;
    std::string ca_file;
    std::string certificate_file;
    std::string key_file;
};
Result<Client> make_client(const HostOptions& options);

/// The daemon's words for an object that is not there, in any version.
bool is_missing_image(const Error& error);

/// "a/b" becomes "a%2Fb": for names that go into a path.
std::string escape(std::string_view name);
/// The `filters` parameter: {"label":{"a=b":true}}. Each entry is "key=value".
Result<std::string> encode_filters(const std::vector<std::string>& filters);

}  // namespace corten::cli
