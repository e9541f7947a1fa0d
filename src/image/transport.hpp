#pragma once
// HTTP connections to registries, token servers and the stores that registries redirect to: kept
// alive between requests, TLS set up per host, cancellable. No knowledge of registries' API.
#include <base/clock.hpp>
#include <base/sync.hpp>
#include <http/client.hpp>
#include <image/endpoints.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace corten::image {

struct TransportOptions {
    std::chrono::milliseconds connect_timeout{15'000};
    /// A peer that sends nothing for that long counts as gone.
    std::chrono::milliseconds stall_timeout{30'000};
    /// Tries of a request that failed on its way or met an overloaded peer, and the pause before
    /// the second; each further pause is twice as long.
    int attempts = 5;
    std::chrono::milliseconds first_pause{500};
    /// What a peer may ask for in Retry-After; who wants a longer pause is not asked again.
    std::chrono::seconds longest_wait{300};
    std::vector<std::string> certificate_directories;
    std::vector<std::string> insecure;
    FdView cancel;  ///< readable: give up, with an error of kind cancelled

    /// Time, which tests make pass faster.
    std::function<WallTime()> now = &corten::now;
    /// Waits that long or until one of `fds` is readable; whether one was.
    std::function<Result<bool>(std::span<const FdView> fds, std::chrono::milliseconds)> wait =
        &wait_for_any;
    static Result<bool> wait_for_any(std::span<const FdView> fds, std::chrono::milliseconds most);
};

/// Where in a request an attempt failed: before the peer was reached, trying again is of no use.
enum class Stage { connect, exchange };

struct RequestFailure {
    Stage stage;
    Error error;
    std::optional<std::chrono::seconds> wait{};  ///< what the peer asked for
};

class Transport;

/// An answer together with the connection it comes from, which goes back to its Transport when the
/// answer was read to its end.
class Exchange {
public:
    Exchange(Exchange&&) noexcept = default;
    Exchange& operator=(Exchange&&) = delete;
    ~Exchange();

    int status() const { return response_->status; }
    const http::Headers& headers() const { return response_->headers; }
    const http::Url& url() const { return url_; }
    std::optional<std::uint64_t> length() const { return response_->length(); }
    /// The next bytes of the body, 0 at its end. Ends early with kind cancelled, also when `stop`
    /// is readable.
    Result<std::size_t> read(std::span<char> buffer, FdView stop = {});
    /// More than `limit` bytes is an error.
    Result<std::string> read_all(std::size_t limit);
    /// "404 Not Found"
    std::string status_line() const;

private:
    friend class Transport;
    Exchange(Transport& transport, http::Url url, std::unique_ptr<http::Connection> connection,
             http::Response response);
    bool body_is_done() const;
    Transport* transport_;
    http::Url url_;
    std::uint64_t received_ = 0;
    std::unique_ptr<http::Connection> connection_;
    std::optional<http::Response> response_;  // borrows the connection
};

/// Thread-safe; must outlive its exchanges.
class Transport {
public:
    explicit Transport(TransportOptions options) : options_(std::move(options)) {}

    /// One request, no redirects, no retries, but for one: a kept connection that the peer closed
    /// meanwhile is replaced. Fills `failure` when there is no answer.
    std::optional<Exchange> send(const http::Url& url, const http::ClientRequest& request,
                                 std::optional<RequestFailure>& failure);
    const TransportOptions& options() const { return options_; }
    /// Whether the certificate of that authority ("host:port") must be good. Of those that nothing
    /// was said of, as token servers, the list of insecure ones decides.
    void set_verified(const std::string& authority, bool verify);
    /// What the answer's Retry-After asks for.
    std::optional<std::chrono::seconds> asked_wait(const Exchange& answer) const;
    bool cancelled() const;
    /// Waits, unless cancelled or `stop` is readable: then an error.
    Result<void> pause(std::chrono::milliseconds duration, FdView stop = {}) const;

private:
    friend class Exchange;
    using Connections = std::vector<std::unique_ptr<http::Connection>>;

    std::unique_ptr<http::Connection> take_kept(const std::string& key);
    void keep(const std::string& key, std::unique_ptr<http::Connection> connection);
    Result<std::unique_ptr<http::Connection>> connect(const http::Url& url);
    Result<std::shared_ptr<const http::TlsConnector>> tls_for(const http::Url& url);

    TransportOptions options_;
    Sync<std::map<std::string, Connections>> kept_;
    bool is_verified(const std::string& authority) const;

    Sync<std::map<std::string, std::shared_ptr<const http::TlsConnector>>> tls_;
    Sync<std::map<std::string, bool>> verified_;  ///< by authority
};

/// Statuses that a second try may change.
bool is_passing(int status);

/// "Get", "Head", "Post": as error messages of the field begin.
std::string verb_of(std::string_view method);

}  // namespace corten::image
