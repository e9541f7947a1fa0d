#pragma once
// A stream with a buffer in front, for heads and chunk lines. Bodies go around it.
#include <http/stream.hpp>

#include <optional>
#include <string>
#include <vector>

namespace corten::http {

class Input {
public:
    explicit Input(Stream& stream) : stream_(stream) {}

    /// What is buffered.
    std::string_view data() const { return {buffer_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t bytes) { begin_ += bytes; }
    /// Reads more behind what is buffered; false at the end of the stream.
    Result<bool> fill(Deadline deadline);
    /// The same without waiting.
    Result<Step> try_fill();
    /// Buffered bytes if there are any, else straight from the stream into `buffer`.
    Result<std::size_t> read(std::span<char> buffer, Deadline deadline);
    /// A line without its CRLF (LF alone is refused); `limit` bytes at most.
    Result<std::string> read_line(std::size_t limit, Deadline deadline);
    /// Hands out what is buffered and forgets it.
    std::string take();
    Stream& stream() { return stream_; }

private:
    std::span<char> make_room();

    Stream& stream_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace corten::http
