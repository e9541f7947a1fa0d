#include "websocket.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace corten::http {

namespace {

using namespace std::chrono_literals;

enum Opcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10,
};

constexpr std::size_t largest_control = 125;
/// Of one message of ours; longer writes become several.
constexpr std::size_t largest_message = 64 << 10;

Error violation(std::string_view what) {
    return fail(ErrorKind::invalid, "websocket: {}", what);
}

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        out += static_cast<char>(value >> shift & 0xff);
}

std::uint64_t big_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
}

/// A whole message of ours, but for its content.
std::string header_of(std::uint8_t opcode, std::size_t length) {
    std::string out(1, static_cast<char>(0x80 | opcode));
    if (length <= largest_control) {
        out += static_cast<char>(length);
    } else if (length <= UINT16_MAX) {
        out += static_cast<char>(126);
        append_big_endian(out, length, 2);
    } else {
        out += static_cast<char>(127);
        append_big_endian(out, length, 8);
    }
    return out;
}

/// What a client's frame begins with.
struct FrameHeader {
    bool last = false;
    std::uint8_t opcode = 0;
    std::uint64_t length = 0;
    std::array<char, 4> mask{};
    std::size_t size = 0;  ///< of the header itself

    bool is_control() const { return (opcode & 8) != 0; }
};

/// nullopt: more bytes are needed.
Result<std::optional<FrameHeader>> parse_header(std::string_view bytes) {
    if (bytes.size() < 2) return std::optional<FrameHeader>();
    const auto first = static_cast<unsigned char>(bytes[0]);
    const auto second = static_cast<unsigned char>(bytes[1]);
    FrameHeader frame{.last = (first & 0x80) != 0, .opcode = static_cast<std::uint8_t>(first & 15)};
    if ((first & 0x70) != 0) return violation("reserved bits are set");
    if ((second & 0x80) == 0) return violation("a client's frame is not masked");
    const std::size_t extra = (second & 0x7f) == 126 ? 2 : (second & 0x7f) == 127 ? 8 : 0;
    frame.size = 2 + extra + frame.mask.size();
    if (bytes.size() < frame.size) return std::optional<FrameHeader>();
    frame.length = extra == 0 ? second & 0x7f : big_endian(bytes.substr(2, extra));
    std::ranges::copy(bytes.substr(2 + extra, frame.mask.size()), frame.mask.begin());
    if (frame.length >> 63 != 0) return violation("a length is negative");
    if (frame.is_control() && (!frame.last || frame.length > largest_control))
        return violation("a control frame is too long, or one of several");
    return std::optional(frame);
}

class WebSocket final : public Stream {
public:
    WebSocket(std::unique_ptr<Stream> stream, std::string early, MessageKind kind)
        : stream_(std::move(stream)),
          in_(std::move(early)),
          opcode_(kind == MessageKind::text ? Opcode::text : Opcode::binary) {}

    Result<Step> try_read(std::span<char> buffer) override {
        for (;;) {
            if (ended_) return Step{Step::end};
            if (payload_left_ > 0 && !in_.empty()) return take_payload(buffer);
            if (payload_left_ == 0 && TRY(enter_frame())) continue;
            const Step got = TRY(fill());
            if (got.kind != Step::moved) return got;
        }
    }

    /// Bytes count as written when their whole message is: the caller comes again with the same.
    Result<Step> try_write(std::span<const std::string_view> parts) override {
        if (promised_ == 0) compose(parts);
        const Step step = TRY(flush());
        if (step.kind != Step::moved) return step;
        return Step{Step::moved, std::exchange(promised_, 0)};
    }

    Result<void> shutdown_write() override {
        std::string bye = header_of(Opcode::close, 2);
        append_big_endian(bye, 1000, 2);
        // A client that has gone, or takes nothing, is told by the end of the connection.
        if (!std::exchange(said_goodbye_, true))
            stream_->write(std::exchange(out_, {}) + bye, 1s).ignore();
        return stream_->shutdown_write();
    }

    FdView fd() const override { return stream_->fd(); }
    bool has_pending() const override { return !in_.empty() || stream_->has_pending(); }
    FdView raw_socket() const override { return FdView(); }

private:
    Result<Step> fill() {
        std::array<char, 16 << 10> buffer;
        const Step step = TRY(stream_->try_read(buffer));
        if (step.kind == Step::moved) in_.append(buffer.data(), step.bytes);
        return step;
    }

    Step take_payload(std::span<char> buffer) {
        const auto count = static_cast<std::size_t>(
            std::min<std::uint64_t>({payload_left_, in_.size(), buffer.size()}));
        for (std::size_t i = 0; i < count; ++i) buffer[i] = static_cast<char>(in_[i] ^ next_mask());
        in_.erase(0, count);
        payload_left_ -= count;
        return Step{Step::moved, count};
    }

    char next_mask() { return mask_[mask_at_++ % mask_.size()]; }

    /// The next frame's header, or all of a control frame. False when more bytes are needed.
    Result<bool> enter_frame() {
        const auto frame = TRY(parse_header(in_));
        if (!frame) return false;
        if (frame->is_control()) return take_control(*frame);
        const bool goes_on = frame->opcode == Opcode::continuation;
        if (frame->opcode > Opcode::binary || goes_on != in_message_)
            return violation("a frame has no place here");
        in_message_ = !frame->last;
        begin_payload(*frame);
        return true;
    }

    void begin_payload(const FrameHeader& frame) {
        in_.erase(0, frame.size);
        mask_ = frame.mask;
        mask_at_ = 0;
        payload_left_ = frame.length;
    }

    Result<bool> take_control(const FrameHeader& frame) {
        if (in_.size() < frame.size + frame.length) return false;
        begin_payload(frame);
        std::string content(static_cast<std::size_t>(frame.length), '\0');
        if (!content.empty()) take_payload(content);
        if (frame.opcode == Opcode::ping) return answer(Opcode::pong, content);
        if (frame.opcode == Opcode::pong) return true;
        if (frame.opcode != Opcode::close) return violation("a frame has an unknown opcode");
        ended_ = true;
        TRY(shutdown_write());
        return true;
    }

    /// Only the last of many pings needs an answer, which waits for the message that is being sent.
    Result<bool> answer(Opcode opcode, std::string_view content) {
        reply_ = header_of(opcode, content.size()).append(content);
        if (promised_ == 0) TRY(flush());
        return true;
    }

    void compose(std::span<const std::string_view> parts) {
        std::string content;
        for (const auto part : parts) content += part.substr(0, largest_message - content.size());
        if (content.empty()) return;
        out_ += header_of(opcode_, content.size()).append(content);
        promised_ = content.size();
    }

    /// moved once nothing is left to be sent.
    Result<Step> flush() {
        for (;;) {
            if (out_.empty()) out_ = std::exchange(reply_, {});
            if (out_.empty()) return Step{Step::moved};
            const std::string_view part = out_;
            const Step step = TRY(stream_->try_write({&part, 1}));
            if (step.kind != Step::moved) return step;
            out_.erase(0, step.bytes);
        }
    }

    std::unique_ptr<Stream> stream_;
    std::string in_;  ///< read and not yet understood
    const std::uint8_t opcode_;
    std::array<char, 4> mask_{};
    std::size_t mask_at_ = 0;
    std::uint64_t payload_left_ = 0;
    bool in_message_ = false;
    bool ended_ = false;
    bool said_goodbye_ = false;
    std::string out_;           ///< what is left of the message that is being sent
    std::string reply_;         ///< comes after it
    std::size_t promised_ = 0;  ///< of the caller's bytes, how many out_ began with
};

}  // namespace

std::unique_ptr<Stream> make_websocket(std::unique_ptr<Stream> stream, std::string early,
                                       MessageKind kind) {
    return std::make_unique<WebSocket>(std::move(stream), std::move(early), kind);
}

}  // namespace corten::http
