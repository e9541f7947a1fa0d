#pragma once
// The server's side of a websocket (RFC 6455): what is written goes out as messages, and the
// content of the client's messages is what is read, whatever their borders. Without extensions.
#include <http/server.hpp>
#include <http/stream.hpp>

#include <memory>
#include <string>

namespace corten::http {

/// Takes over a connection past the handshake. `early` is what the client has sent already. A
/// client's close is answered and ends both directions; the end of its connection ends reading.
std::unique_ptr<Stream> make_websocket(std::unique_ptr<Stream> stream, std::string early,
                                       MessageKind kind);

}  // namespace corten::http
