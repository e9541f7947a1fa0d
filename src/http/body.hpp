#pragma once
// Reads one message body, framed as its head said (RFC 9112 6 and 7).
#include "codec.hpp"

namespace corten::http {

class BodyReader {
public:
    BodyReader(Input& input, Framing framing, std::uint64_t length)
        : input_(input), framing_(framing), left_(framing == Framing::length ? length : 0) {
        done_ = framing == Framing::none || (framing == Framing::length && length == 0);
    }

    /// Up to buffer.size() bytes, straight into `buffer`; 0 at the body's end. A peer that closes
    /// before that is an error of kind `unavailable`; bad chunk framing is `invalid`.
    Result<std::size_t> read(std::span<char> buffer, Deadline deadline);
    bool done() const { return done_; }
    /// What is left, when the framing says so.
    std::optional<std::uint64_t> remaining() const;

private:
    Result<std::size_t> read_chunked(std::span<char> buffer, Deadline deadline);
    Result<void> next_chunk(Deadline deadline);
    Result<void> skip_trailers(Deadline deadline);

    Input& input_;
    Framing framing_;
    std::uint64_t left_;  ///< of the body, or of the current chunk
    bool in_chunk_ = false;
    bool done_ = false;
};

}  // namespace corten::http
