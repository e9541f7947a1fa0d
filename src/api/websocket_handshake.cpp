#include "websocket_handshake.hpp"

#include <base/text.hpp>

#include <openssl/evp.h>

#include <array>

namespace corten::api {

namespace {

/// 20 bytes. As every server has to; nobody could gain by a collision here.
Result<std::string> sha1(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1)
        return fail(ErrorKind::unsupported, "websocket: OpenSSL has no SHA-1 here");
    return std::string(digest.begin(), digest.begin() + size);
}

}  // namespace

Result<std::string> websocket_head(const http::Headers& request) {
    const auto key = request.get_or("Sec-WebSocket-Key", "");
    if (!request.has_token("Upgrade", "websocket") || key.empty())
        return fail(ErrorKind::invalid, "not a websocket handshake");
    if (request.get_or("Sec-WebSocket-Version", "") != "13")
        return fail(ErrorKind::invalid, "Sec-WebSocket-Version is not 13");
    constexpr std::string_view magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    return fmt::format(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: {}\r\n\r\n",
        base64_encode(TRY(sha1(fmt::format("{}{}", key, magic)))));
}

}  // namespace corten::api
