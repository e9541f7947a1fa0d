#include "server_connection.hpp"
#include "websocket.hpp"

#include <base/clock.hpp>

#include <poll.h>

#include <array>
#include <ctime>

namespace corten::http {

namespace {

/// "Tue, 24 Nov 2026 03:22:57 GMT" (RFC 9110 5.6.7), in English whatever the locale.
std::string http_date() {
    static constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = unix_seconds(now());
    std::tm t{};
    ::gmtime_r(&seconds, &t);
    return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", days[t.tm_wday], t.tm_mday,
                       months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

bool has_no_body(int status) {
    return status < 200 || status == 204 || status == 304;
}

}  // namespace

Result<std::size_t> Request::read_body(std::span<char> buffer) {
    return connection_.read_body(buffer);
}

Result<std::string> Request::read_whole_body(std::size_t limit) {
    std::string out;
    std::vector<char> buffer(std::min<std::uint64_t>(body_length().value_or(16 << 10), 64 << 10));
    while (!buffer.empty()) {
        const auto got = TRY(read_body(buffer));
        if (got == 0) break;
        if (out.size() + got > limit)
            return fail(ErrorKind::no_space, "request body is longer than {} bytes", limit);
        out.append(buffer.data(), got);
    }
    return out;
}

ByteSource Request::body() {
    return [this](std::span<char> buffer) { return read_body(buffer); };
}

std::optional<std::uint64_t> Request::body_length() const {
    return connection_.body_->remaining();
}

Result<void> ResponseWriter::send_head(int status, std::string_view framing,
                                       std::string_view body) {
    if (started_) return fail(ErrorKind::internal, "answered twice");
    started_ = true;
    status_ = status;
    const auto& request = *connection_.head_;
    bodiless_ = has_no_body(status) || request.method == "HEAD";
    std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_of(status));
    headers_.append_to(head);
    head += "Date: " + http_date() + "\r\n";
    const bool unread = connection_.continue_due_;
    if (unread || request.http_1_0 || !request.keep_alive ||
        headers_.has_token("Connection", "close"))
        connection_.close_announced_ = true;
    if (connection_.close_announced_ && !headers_.contains("Connection"))
        head += "Connection: close\r\n";
    if (!has_no_body(status)) head += framing;
    head += "\r\n";
    const std::array<std::string_view, 2> parts{head, bodiless_ ? std::string_view() : body};
    return connection_.write(parts);
}

Result<void> ResponseWriter::send(int status, std::string_view body) {
    finished_ = true;
    return send_head(status, fmt::format("Content-Length: {}\r\n", body.size()), body);
}

Result<void> ResponseWriter::start(int status, std::optional<std::uint64_t> length) {
    if (length) return send_head(status, fmt::format("Content-Length: {}\r\n", *length), "");
    // HTTP/1.0 knows no chunks: there the end of the connection ends the body.
    chunked_ = !connection_.head_->http_1_0;
    return send_head(status, chunked_ ? "Transfer-Encoding: chunked\r\n" : "", "");
}

Result<void> ResponseWriter::write(std::string_view bytes) {
    if (bytes.empty() || bodiless_) return {};
    if (!chunked_) return connection_.write({&bytes, 1});
    const std::string size = fmt::format("{:x}\r\n", bytes.size());
    const std::array<std::string_view, 3> parts{size, bytes, "\r\n"};
    return connection_.write(parts);
}

ByteSink ResponseWriter::sink() {
    return [this](std::string_view bytes) { return write(bytes); };
}

Result<void> ResponseWriter::finish() {
    if (std::exchange(finished_, true) || connection_.broken_ || !chunked_ || bodiless_) return {};
    const std::string_view last = "0\r\n\r\n";
    return connection_.write({&last, 1});
}

void ResponseWriter::abort() {
    connection_.broken_ = true;
}

void ResponseWriter::set_write_timeout(std::chrono::milliseconds time) {
    connection_.write_stall_ = time;
}

Result<FdView> ResponseWriter::gone_fd() {
    return connection_.gone_fd();
}

bool ResponseWriter::client_gone() {
    const auto fd = gone_fd();
    if (!fd.has_value()) return false;
    pollfd entry{fd->raw(), POLLIN, 0};
    return ::poll(&entry, 1, 0) > 0;
}

Result<Hijacked> ResponseWriter::hijack(std::string_view head) {
    if (started_) return fail(ErrorKind::internal, "answered twice");
    started_ = finished_ = true;
    status_ = 101;
    return connection_.hijack(head);
}

Result<Hijacked> ResponseWriter::hijack_websocket(std::string_view head, MessageKind kind) {
    if (started_) return fail(ErrorKind::internal, "answered twice");
    started_ = finished_ = true;
    status_ = 101;
    return connection_.hijack_websocket(head, kind);
}

}  // namespace corten::http
