#pragma once
// The server's side of a websocket (RFC 6455): what is written goes out as messages, and the
// content of the client's messages is what is read, whatever their borders. Without extensions.
#include <http/headers.hpp>
#include <http/server.hpp>
#include <http/stream.hpp>

#include <memory>
#include <string>

namespace corten::http {

/// The head of the answer that a handshake wants. invalid when the request is none, or is of
/// another version than 13.
Result<std::string> websocket_head(const Headers& request);

/// Takes over a connection past that head. `early` is what the client has sent already. A client's
/// close is answered and ends both directions; the end of its connection ends reading.
std::unique_ptr<Stream> make_websocket(std::unique_ptr<Stream> stream, std::string early,
                                       MessageKind kind);

}  // namespace corten::http
