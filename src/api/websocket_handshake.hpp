#pragma once
#include <base/result.hpp>
#include <http/headers.hpp>

#include <string>

namespace corten::api {

/// The head of the answer that a websocket's handshake wants (RFC 6455, 4.2.2). invalid when the
/// request is none, or is of another version than 13.
Result<std::string> websocket_head(const http::Headers& request);

}  // namespace corten::api
