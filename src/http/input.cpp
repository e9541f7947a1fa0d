#include "input.hpp"

#include <cstring>

namespace corten::http {

namespace {
constexpr std::size_t step_size = 8 << 10;
}

std::span<char> Input::make_room() {
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < step_size) buffer_.resize(std::max(end_ + step_size, 2 * end_));
    return std::span(buffer_).subspan(end_);
}

Result<bool> Input::fill(Deadline deadline) {
    const auto got = TRY(stream_.read(make_room(), deadline));
    end_ += got;
    return got > 0;
}

Result<Step> Input::try_fill() {
    const Step step = TRY(stream_.try_read(make_room()));
    end_ += step.bytes;
    return step;
}

Result<std::size_t> Input::read(std::span<char> buffer, Deadline deadline) {
    const auto ready = data();
    if (ready.empty()) return stream_.read(buffer, deadline);
    const auto count = std::min(ready.size(), buffer.size());
    std::memcpy(buffer.data(), ready.data(), count);
    consume(count);
    return count;
}

Result<std::string> Input::read_line(std::size_t limit, Deadline deadline) {
    for (;;) {
        const auto end = data().find('\n');
        if (end != std::string_view::npos) {
            if (end == 0 || data()[end - 1] != '\r')
                return fail(ErrorKind::invalid, "line does not end in CRLF");
            std::string line(data().substr(0, end - 1));
            consume(end + 1);
            return line;
        }
        // The first half of its end may have come already.
        if (data().size() > limit + 1)
            return fail(ErrorKind::invalid, "line is longer than {} bytes", limit);
        if (!TRY(fill(deadline)))
            return fail(ErrorKind::unavailable, "the peer closed the connection early");
    }
}

std::string Input::take() {
    std::string bytes(data());
    begin_ = end_ = 0;
    return bytes;
}

}  // namespace corten::http
