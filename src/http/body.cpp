#include "body.hpp"

#include <charconv>

namespace corten::http {

namespace {

constexpr std::size_t chunk_line_limit = 4096;
constexpr int most_trailers = 64;

Error early_end() {
    return fail(ErrorKind::unavailable, "the peer closed the connection within a body");
}

/// "1a2b" or "1a2b;extension": extensions are ignored, as everybody does.
Result<std::uint64_t> parse_chunk_size(std::string_view line) {
    const auto digits = line.substr(0, line.find_first_of("; \t"));
    std::uint64_t size = 0;
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    // One bit of the 64 is kept free, so that sums of sizes cannot wrap.
    if (digits.empty() || failed != std::errc() || end != digits.data() + digits.size() ||
        size >> 63)
        return fail(ErrorKind::invalid, "malformed chunk size");
    return size;
}

}  // namespace

std::optional<std::uint64_t> BodyReader::remaining() const {
    if (done_) return 0;
    if (framing_ == Framing::length) return left_;
    return {};
}

Result<std::size_t> BodyReader::read(std::span<char> buffer, Deadline deadline) {
    if (done_ || buffer.empty()) return std::size_t(0);
    if (framing_ == Framing::chunked) return read_chunked(buffer, deadline);
    if (framing_ == Framing::length)
        buffer = buffer.first(std::min<std::uint64_t>(buffer.size(), left_));
    const auto got = TRY(input_.read(buffer, deadline));
    if (framing_ == Framing::until_close) {
        done_ = got == 0;
        return got;
    }
    if (got == 0) return early_end();
    left_ -= got;
    done_ = left_ == 0;
    return got;
}

Result<std::size_t> BodyReader::read_chunked(std::span<char> buffer, Deadline deadline) {
    if (left_ == 0) TRY(next_chunk(deadline));
    if (done_) return std::size_t(0);
    const auto got =
        TRY(input_.read(buffer.first(std::min<std::uint64_t>(buffer.size(), left_)), deadline));
    if (got == 0) return early_end();
    left_ -= got;
    return got;
}

Result<void> BodyReader::next_chunk(Deadline deadline) {
    if (in_chunk_ && !TRY(input_.read_line(0, deadline)).empty())
        return fail(ErrorKind::invalid, "chunk is longer than its size");
    left_ = TRY(parse_chunk_size(TRY(input_.read_line(chunk_line_limit, deadline))));
    in_chunk_ = left_ > 0;
    if (left_ == 0) TRY(skip_trailers(deadline));
    return {};
}

Result<void> BodyReader::skip_trailers(Deadline deadline) {
    for (int i = 0; i < most_trailers; ++i) {
        if (TRY(input_.read_line(chunk_line_limit, deadline)).empty()) {
            done_ = true;
            return {};
        }
    }
    return fail(ErrorKind::invalid, "more than {} trailer fields", most_trailers);
}

}  // namespace corten::http
