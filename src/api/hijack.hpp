#pragma once
// Attach and exec: from an HTTP request to a raw stream.
#include "call.hpp"

namespace corten::api {

enum class CopyHeaders {
    no,   ///< attach answers with its own three headers only
    yes,  ///< exec adds those that every answer has
};

/// The exact head of the answer: 101 for a client that asked to upgrade, else 200 and a body that
/// lasts until the connection ends. Since 1.42 the type says whether output is framed.
std::string hijack_head(bool upgrade, bool tty, ApiVersion version,
                        const http::Headers& copied = {});

/// Answers with success and hands the socket to the attachment.
Result<void> connect_stream(Call& call, engine::Attachment& attachment, CopyHeaders copy);

/// The same over a websocket, whose messages are text before 1.28. invalid when the request is no
/// handshake.
Result<void> connect_websocket(Call& call, engine::Attachment& attachment);

/// Errors of attach are text in a raw answer, after which the connection ends.
Result<void> answer_raw_error(Call& call, const Error& error);

/// Errors of an exec come as output, after an answer of success.
Result<void> answer_error_as_output(Call& call, const Error& error, bool tty);

/// One 8-byte framed piece of a stream: 1 is standard output, 2 standard error.
std::string frame(int stream, std::string_view bytes);

}  // namespace corten::api
