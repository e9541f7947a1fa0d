#include "transport.hpp"

#include "retry_after.hpp"

#include <base/text.hpp>
#include <http/tls.hpp>
#include <sys/file.hpp>
#include <sys/poll.hpp>

#include <array>
#include <cstdlib>

namespace corten::image {

namespace {

std::string key_of(const http::Url& url) {
    return url.scheme + "://" + url.authority();
}

std::string variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value ? value : "";
}

/// Adds what HOST/ holds to `options`: *.crt are authorities, NAME.cert with NAME.key is ours.
Result<void> add_certificates(const std::string& directory, http::TlsClientOptions& options) {
    if (!sys::exists(directory)) return {};
    auto names = TRY(sys::list_directory(directory).context("registry certificates"));
    std::ranges::sort(names);
    for (const auto& name : names) {
        if (name.ends_with(".crt")) options.ca_files.push_back(directory + "/" + name);
        if (!name.ends_with(".cert")) continue;
        const std::string key = name.substr(0, name.size() - 5) + ".key";
        if (std::ranges::find(names, key) == names.end())
            return fail(ErrorKind::invalid, "missing key {} for client certificate {} in {}", key,
                        name, directory);
        options.certificate_file = directory + "/" + name;
        options.key_file = directory + "/" + key;
    }
    return {};
}

Error cancelled_error() {
    return Error(ErrorKind::cancelled, "context canceled");
}

}  // namespace

std::string verb_of(std::string_view method) {
    std::string verb = to_lower(method);
    if (!verb.empty()) verb[0] = static_cast<char>(verb[0] - 'a' + 'A');
    return verb;
}

bool is_passing(int status) {
    return status == 408 || status == 429 || status >= 500;
}

Result<bool> TransportOptions::wait_for_any(std::span<const FdView> fds,
                                            std::chrono::milliseconds most) {
    return TRY(sys::wait_readable(fds, most)).has_value();
}

Exchange::Exchange(Transport& transport, http::Url url,
                   std::unique_ptr<http::Connection> connection, http::Response response)
    : transport_(&transport),
      url_(std::move(url)),
      connection_(std::move(connection)),
      response_(std::move(response)) {}

Exchange::~Exchange() {
    if (!connection_) return;  // moved from
    response_.reset();
    if (connection_->reusable()) transport_->keep(key_of(url_), std::move(connection_));
}

bool Exchange::body_is_done() const {
    const auto length = response_->length();
    return (length && received_ >= *length) || connection_->reusable();
}

Result<std::size_t> Exchange::read(std::span<char> buffer, FdView stop) {
    if (!response_->has_buffered() && !body_is_done()) {
        const std::array fds{transport_->options_.cancel, stop, response_->fd()};
        const auto ready = TRY(sys::wait_readable(fds, transport_->options_.stall_timeout));
        if (!ready)
            return fail(ErrorKind::unavailable, "{}: no data for {} ms", url_.authority(),
                        transport_->options_.stall_timeout.count());
        if (*ready < 2) return cancelled_error();
    }
    const std::size_t got = TRY(response_->read(buffer));
    received_ += got;
    return got;
}

Result<std::string> Exchange::read_all(std::size_t limit) {
    std::string body;
    std::vector<char> buffer(64 << 10);
    while (const std::size_t got = TRY(read(buffer))) {
        if (body.size() + got > limit)
            return fail(ErrorKind::corrupt, "{}: answer is longer than {} bytes", url_.authority(),
                        limit);
        body.append(buffer.data(), got);
    }
    return body;
}

std::string Exchange::status_line() const {
    return fmt::format("{} {}", response_->status, response_->reason);
}

bool Transport::cancelled() const {
    if (!options_.cancel.valid()) return false;
    const std::array fds{options_.cancel};
    const auto ready = sys::wait_readable(fds, std::chrono::milliseconds(0));
    return ready && ready->has_value();
}

Result<void> Transport::pause(std::chrono::milliseconds duration, FdView stop) const {
    const std::array fds{options_.cancel, stop};
    if (TRY(options_.wait(fds, duration))) return cancelled_error();
    return {};
}

void Transport::set_verified(const std::string& authority, bool verify) {
    verified_.with([&](auto& known) { known[authority] = verify; });
}

bool Transport::is_verified(const std::string& authority) const {
    const auto said = verified_.with([&](const auto& known) {
        const auto found = known.find(authority);
        return found == known.end() ? std::nullopt : std::optional(found->second);
    });
    return said ? *said : !is_insecure(authority, options_.insecure);
}

std::optional<std::chrono::seconds> Transport::asked_wait(const Exchange& answer) const {
    const auto field = answer.headers().get("Retry-After");
    return field ? parse_retry_after(*field, options_.now()) : std::nullopt;
}

std::unique_ptr<http::Connection> Transport::take_kept(const std::string& key) {
    return kept_.with([&](auto& kept) -> std::unique_ptr<http::Connection> {
        auto& list = kept[key];
        while (!list.empty()) {
            auto connection = std::move(list.back());
            list.pop_back();
            if (connection->reusable()) return connection;
        }
        return nullptr;
    });
}

void Transport::keep(const std::string& key, std::unique_ptr<http::Connection> connection) {
    kept_.with([&](auto& kept) { kept[key].push_back(std::move(connection)); });
}

Result<std::shared_ptr<const http::TlsConnector>> Transport::tls_for(const http::Url& url) {
    if (url.scheme != "https") return std::shared_ptr<const http::TlsConnector>();
    const std::string host = url.authority();
    if (auto known = tls_.with([&](auto& map) { return map[host]; })) return known;
    http::TlsClientOptions options;
    options.insecure = !is_verified(host);
    for (const auto& directory : options_.certificate_directories)
        TRY(add_certificates(directory + "/" + host, options));
    auto made = TRY(http::make_tls_connector(options));
    tls_.with([&](auto& map) { map[host] = made; });
    return made;
}

Result<std::unique_ptr<http::Connection>> Transport::connect(const http::Url& url) {
    auto endpoint = TRY(http::endpoint_of(url, TRY(tls_for(url))));
    endpoint.proxy = http::proxy_for(url, variable);
    return http::Connection::open(
        endpoint, {.connect = options_.connect_timeout, .stall = options_.stall_timeout});
}

std::optional<Exchange> Transport::send(const http::Url& url, const http::ClientRequest& request,
                                        std::optional<RequestFailure>& failure) {
    const auto failed = [&](Stage stage, Error error) -> std::optional<Exchange> {
        failure = RequestFailure{stage, std::move(error)};
        return std::nullopt;
    };
    if (cancelled()) return failed(Stage::connect, cancelled_error());
    if (auto kept = take_kept(key_of(url))) {
        auto response = kept->send(request);
        if (response) return Exchange(*this, url, std::move(kept), *std::move(response));
        // A body that was read from its producer already cannot be sent twice.
        if (request.producer) return failed(Stage::exchange, std::move(response).error());
    }
    auto connection = connect(url);
    if (!connection) return failed(Stage::connect, std::move(connection).error());
    auto response = (*connection)->send(request);
    if (!response) return failed(Stage::exchange, std::move(response).error());
    return Exchange(*this, url, *std::move(connection), *std::move(response));
}

}  // namespace corten::image
