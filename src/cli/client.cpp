#include "client.hpp"

#include <base/text.hpp>

#include <array>
#include <cstdlib>

namespace corten::cli {

namespace {

ErrorKind kind_of_status(int status) {
    switch (status) {
        case 304:
            return ErrorKind::not_modified;
        case 400:
            return ErrorKind::invalid;
        case 401:
            return ErrorKind::unauthorized;
        case 403:
            return ErrorKind::forbidden;
        case 404:
            return ErrorKind::not_found;
        case 409:
            return ErrorKind::conflict;
        case 501:
            return ErrorKind::not_built;
        case 503:
            return ErrorKind::unavailable;
        default:
            return status < 500 ? ErrorKind::invalid : ErrorKind::internal;
    }
}

/// The message of an error reply; what is not the API's JSON is shown as it is.
std::string message_of(const std::string& body, int status) {
    const auto json = parse_json(body, "reply");
    if (json && json->is_object() && json->contains("message") && (*json)["message"].is_string())
        return (*json)["message"].get<std::string>();
    const std::string_view text = trim(body);
    return text.empty() ? fmt::format("the daemon answered {} without a message", status)
                        : std::string(text);
}

std::string target_of(const std::string& prefix, const Request& request) {
    std::string target = prefix + request.path;
    if (!request.query.empty()) target += "?" + request.query.encode();
    return target;
}

http::ClientRequest wire_request(const std::string& prefix, Request request, bool upgrade) {
    http::ClientRequest out{.method = request.method,
                            .target = target_of(prefix, request),
                            .headers = std::move(request.headers)};
    out.headers.set("User-Agent", "corten/" CORTEN_VERSION " (linux)");
    if (request.json) {
        out.body = dump_json(*request.json);
        out.headers.set("Content-Type", "application/json");
    }
    if (!request.content_type.empty()) out.headers.set("Content-Type", request.content_type);
    if (upgrade) {
        out.headers.set("Connection", "Upgrade");
        out.headers.set("Upgrade", "tcp");
    }
    out.producer = std::move(request.body);
    return out;
}

}  // namespace

Result<Json> Reply::json() {
    const std::string body = TRY(text());
    if (trim(body).empty()) return Json::object();
    return parse_json(body, "the daemon's reply");
}

Result<void> Reply::each_line(const std::function<Result<bool>(const Json&)>& take) {
    std::string pending;
    std::array<char, 16384> buffer;
    while (true) {
        const std::size_t count = TRY(read(buffer));
        pending.append(buffer.data(), count);
        std::size_t start = 0;
        for (auto end = pending.find('\n'); end != pending.npos; end = pending.find('\n', start)) {
            const auto line = trim(std::string_view(pending).substr(start, end - start));
            start = end + 1;
            if (!line.empty() && !TRY(take(TRY(parse_json(line, "the daemon's stream")))))
                return {};
        }
        pending.erase(0, start);
        if (count > 0) continue;
        if (!trim(pending).empty())
            TRY(take(TRY(parse_json(trim(pending), "the daemon's stream"))));
        return {};
    }
}

Result<std::unique_ptr<http::Connection>> Client::connect() {
    while (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        if (connection->reusable()) return connection;
    }
    auto opened = http::Connection::open(endpoint_);
    if (opened) return opened;
    const bool no_right = opened.error().number() == EACCES;
    if (no_right)
        return fail(ErrorKind::forbidden,
                    "permission denied while connecting to {}: run as root or "
                    "as a member of the socket's group",
                    address_);
    return fail(ErrorKind::unavailable,
                "Cannot connect to the daemon at {} ({}). Is cortend running?", address_,
                opened.error().message());
}

void Client::connect_ahead(std::size_t count) {
    while (idle_.size() < count) {
        auto opened = http::Connection::open(endpoint_);
        if (!opened) return;
        // The first to be opened is the first to be served, and used.
        idle_.insert(idle_.begin(), std::move(*opened));
    }
}

Result<Reply> Client::send(Request request, bool upgrade) {
    auto connection = TRY(connect());
    const std::string what = request.method + " " + request.path;
    auto response = connection->send(wire_request(prefix_, std::move(request), upgrade));
    if (!response) return std::move(response).error().context(what);
    Reply reply(std::move(connection), std::move(*response));
    const int status = reply.status();
    if (status < 400 && status != 304) return reply;
    const std::string body = status == 304 ? "" : TRY(reply.text());
    recycle(std::move(reply));
    return fail(kind_of_status(status), "Error response from daemon: {}", message_of(body, status));
}

Result<Reply> Client::open(Request request) {
    return send(std::move(request), false);
}

Result<Json> Client::call(Request request) {
    Reply reply = TRY(open(std::move(request)));
    Json json = TRY(reply.json());
    recycle(std::move(reply));
    return json;
}

Result<Json> Client::get(std::string path, http::Query query) {
    return call({.path = std::move(path), .query = std::move(query)});
}
Result<Json> Client::post(std::string path, http::Query query, std::optional<Json> body) {
    return call({.method = "POST",
                 .path = std::move(path),
                 .query = std::move(query),
                 .json = std::move(body)});
}
Result<Json> Client::remove(std::string path, http::Query query) {
    return call({.method = "DELETE", .path = std::move(path), .query = std::move(query)});
}

Result<http::Upgraded> Client::hijack(Request request) {
    std::unique_ptr<http::Connection> connection;
    {
        Reply reply = TRY(send(std::move(request), true));
        if (reply.status() != 101)
            return fail(ErrorKind::unavailable, "unable to upgrade to tcp, received {}",
                        reply.status());
        multiplexed_ = reply.headers().get_or("Content-Type", "") ==
                       "application/vnd.docker.multiplexed-stream";
        connection = std::move(reply.connection_);
    }  // the response has to be gone before its stream is taken
    return connection->take_stream();
}

void Client::recycle(Reply reply) {
    auto connection = std::move(reply.connection_);
    {
        const http::Response finished = std::move(reply.response_);
    }
    if (connection->reusable()) idle_.push_back(std::move(connection));
}

bool is_missing_image(const Error& error) {
    return error.kind() == ErrorKind::not_found &&
           to_lower(error.message()).find("no such image") != std::string::npos;
}

std::string escape(std::string_view name) {
    return http::percent_encode(name);
}

Result<std::string> encode_filters(const std::vector<std::string>& filters) {
    Json out = Json::object();
    for (const std::string& filter : filters) {
        if (filter.find('=') == filter.npos)
            return fail(ErrorKind::invalid,
                        "invalid argument \"{}\" for \"-f, --filter\" flag: "
                        "invalid filter '{}'",
                        filter, filter);
        const auto [key, value] = split_once(filter, '=');
        out[to_lower(trim(key))][std::string(trim(value))] = true;
    }
    return dump_json(out);
}

}  // namespace corten::cli
