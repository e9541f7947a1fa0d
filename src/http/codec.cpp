#include "codec.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace corten::http {

namespace {

namespace beast = boost::beast::http;

/// Feeds the parser until the head is complete. False when the stream ended before its first byte.
template <typename Parser>
Result<bool> feed(Parser& parser, Input& input, Deadline deadline) {
    parser.header_limit(header_limit);
    // Bodies are read by BodyReader, which has no limit.
    parser.body_limit(boost::none);
    bool fresh = true;
    for (;;) {
        if (!input.data().empty()) {
            fresh = false;
            boost::system::error_code failed;
            const auto ready = input.data();
            const auto used = parser.put(boost::asio::buffer(ready.data(), ready.size()), failed);
            if (failed == beast::error::header_limit)
                return fail(ErrorKind::no_space, "header fields are longer than {} bytes",
                            header_limit);
            if (failed && failed != beast::error::need_more)
                return fail(ErrorKind::invalid, "malformed HTTP: {}", failed.message());
            input.consume(used);
            if (parser.is_header_done()) return true;
        }
        if (TRY(input.fill(deadline))) continue;
        if (fresh) return false;
        return fail(ErrorKind::unavailable, "the peer closed the connection within a head");
    }
}

template <typename Parser>
Head plain_head(Parser& parser) {
    Head head;
    const auto& message = parser.get();
    head.http_1_0 = message.version() < 11;
    head.keep_alive = parser.keep_alive();
    for (const auto& field : message.base())
        head.headers.add(std::string(field.name_string()), std::string(field.value()));
    if (parser.chunked()) {
        head.framing = Framing::chunked;
    } else if (const auto length = parser.content_length()) {
        head.framing = Framing::length;
        head.length = *length;
    }
    return head;
}

}  // namespace

Result<std::optional<Head>> read_request_head(Input& input, Deadline deadline) {
    beast::request_parser<beast::empty_body> parser;
    if (!TRY(feed(parser, input, deadline))) return std::optional<Head>();
    Head head = plain_head(parser);
    head.method = std::string(parser.get().method_string());
    head.target = std::string(parser.get().target());
    if (head.headers.contains("Transfer-Encoding") && head.framing != Framing::chunked)
        return fail(ErrorKind::invalid,
                    "malformed HTTP: only the transfer encoding \"chunked\" is known");
    return std::optional(std::move(head));
}

Result<Head> read_response_head(Input& input, std::string_view method, Deadline deadline) {
    for (;;) {
        beast::response_parser<beast::empty_body> parser;
        // The parser need not know whether a body follows: it stops behind the head.
        if (!TRY(feed(parser, input, deadline)))
            return fail(ErrorKind::unavailable, "the peer closed the connection without an answer");
        Head head = plain_head(parser);
        head.status = static_cast<int>(parser.get().result_int());
        head.reason = std::string(parser.get().reason());
        const bool interim = head.status >= 100 && head.status < 200;
        if (interim && head.status != 101) continue;
        const bool bodiless =
            interim || head.status == 204 || head.status == 304 || method == "HEAD";
        if (bodiless)
            head.framing = Framing::none;
        else if (head.framing == Framing::none)
            head.framing = Framing::until_close;
        if (head.framing == Framing::until_close) head.keep_alive = false;
        return head;
    }
}

}  // namespace corten::http
