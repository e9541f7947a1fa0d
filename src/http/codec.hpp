#pragma once
// Message heads, parsed by Boost.Beast. This is the only place that knows it.
#include "input.hpp"

#include <http/headers.hpp>

namespace corten::http {

enum class Framing { none, length, chunked, until_close };

struct Head {
    std::string method;  ///< of a request
    std::string target;  ///< of a request
    int status = 0;      ///< of a response
    std::string reason;  ///< of a response
    bool http_1_0 = false;
    bool keep_alive = true;
    Framing framing = Framing::none;
    std::uint64_t length = 0;  ///< of the body, for Framing::length
    Headers headers;
};

/// Heads longer than this, in bytes, are refused.
inline constexpr std::uint32_t header_limit = 64 << 10;

/// Reads one request head. Nullopt when the peer closed before its first byte. A malformed head
/// gives `invalid`, one that is too long `no_space`.
Result<std::optional<Head>> read_request_head(Input& input, Deadline deadline);

/// Reads the head of the response to a request made with `method`; 1xx heads other than 101 are
/// skipped.
Result<Head> read_response_head(Input& input, std::string_view method, Deadline deadline);

}  // namespace corten::http
