#include <http/stream.hpp>
#include <sys/socket.h>
#include <sys/uio.h>

#include <poll.h>

#include <array>
#include <cerrno>

namespace corten::http {

int Deadline::poll_timeout() const {
    if (at_ == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return left <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>(left, 1'000'000'000));
}

namespace {

bool would_block(int number) {
    return number == EAGAIN || number == EWOULDBLOCK;
}

class SocketStream final : public Stream {
public:
    explicit SocketStream(Fd socket) : socket_(std::move(socket)) {}

    Result<Step> try_read(std::span<char> buffer) override {
        for (;;) {
            const auto got = ::recv(socket_.raw(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got > 0) return Step{Step::moved, static_cast<std::size_t>(got)};
            if (got == 0) return Step{Step::end};
            if (would_block(errno)) return Step{Step::wait_readable};
            if (errno != EINTR) return fail_errno("read from the connection");
        }
    }

    Result<Step> try_write(std::span<const std::string_view> parts) override {
        std::array<iovec, 8> vectors;
        msghdr message{};
        message.msg_iov = vectors.data();
        for (const auto part : parts.first(std::min(parts.size(), vectors.size())))
            vectors[message.msg_iovlen++] = {const_cast<char*>(part.data()), part.size()};
        for (;;) {
            const auto sent = ::sendmsg(socket_.raw(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent >= 0) return Step{Step::moved, static_cast<std::size_t>(sent)};
            if (would_block(errno)) return Step{Step::wait_writable};
            if (errno != EINTR) return fail_errno("write to the connection");
        }
    }

    Result<void> shutdown_write() override {
        if (::shutdown(socket_.raw(), SHUT_WR) < 0 && errno != ENOTCONN)
            return fail_errno("shutdown");
        return {};
    }

    FdView fd() const override { return socket_; }

private:
    Fd socket_;
};

}  // namespace

std::span<std::string_view> drop_front(std::span<std::string_view> parts, std::size_t bytes) {
    while (!parts.empty() && bytes >= parts.front().size()) {
        bytes -= parts.front().size();
        parts = parts.subspan(1);
    }
    if (!parts.empty()) parts.front().remove_prefix(bytes);
    return parts;
}

Result<void> Stream::wait(Step::Kind kind, Deadline deadline) const {
    pollfd entry{fd().raw(), static_cast<short>(kind == Step::wait_writable ? POLLOUT : POLLIN), 0};
    for (;;) {
        const int ready = ::poll(&entry, 1, deadline.poll_timeout());
        if (ready > 0) return {};
        if (ready == 0) return Error::from_errno(ETIMEDOUT, "waiting for the peer");
        if (errno != EINTR) return fail_errno("poll");
    }
}

Result<std::size_t> Stream::read(std::span<char> buffer, Deadline deadline) {
    for (;;) {
        const Step step = TRY(try_read(buffer));
        if (step.kind == Step::moved) return step.bytes;
        if (step.kind == Step::end) return std::size_t(0);
        TRY(wait(step.kind, deadline));
    }
}

Result<void> Stream::write(std::span<const std::string_view> parts,
                           std::chrono::milliseconds stall) {
    std::array<std::string_view, 8> copy;
    while (!parts.empty()) {
        const auto count = std::min(parts.size(), copy.size());
        std::copy_n(parts.begin(), count, copy.begin());
        auto left = drop_front(std::span(copy).first(count), 0);
        while (!left.empty()) {
            const Step step = TRY(try_write(left));
            if (step.kind == Step::moved)
                left = drop_front(left, step.bytes);
            else
                TRY(wait(step.kind, Deadline::in(stall)));
        }
        parts = parts.subspan(count);
    }
    return {};
}

Result<void> Stream::write(std::string_view bytes, std::chrono::milliseconds stall) {
    return write({&bytes, 1}, stall);
}

std::unique_ptr<Stream> make_socket_stream(Fd socket) {
    return std::make_unique<SocketStream>(std::move(socket));
}

}  // namespace corten::http
