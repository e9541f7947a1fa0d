#pragma once
// SHA-1 (RFC 3174), which a websocket's handshake is made of; of no use where anybody could gain by
// a collision.
#include <string>
#include <string_view>

namespace corten::http {

/// The 20 bytes of the digest.
std::string sha1(std::string_view text);

}  // namespace corten::http
