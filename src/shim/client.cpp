#include "client.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

namespace corten::shim {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t input_size = 16 << 10;
/// A client that takes nothing for so long after the end of output is given up.
constexpr milliseconds flush_patience{30'000};
constexpr milliseconds linger_patience{2'000};

/// Docker's stream header: the stream's number, three zeros, the length in big-endian order.
std::array<char, 8> frame_header(Stream stream, std::size_t length) {
    const auto byte = [length](int shift) { return static_cast<char>(length >> shift & 0xff); };
    return {static_cast<char>(stream), 0, 0, 0, byte(24), byte(16), byte(8), byte(0)};
}

/// How much the socket took now; nullopt when it is broken. The socket itself stays blocking: its
/// other owner's view of it is not ours to change.
std::optional<std::size_t> send_now(FdView socket, std::span<const iovec> parts) {
    msghdr header{};
    header.msg_iov = const_cast<iovec*>(parts.data());
    header.msg_iovlen = parts.size();
    for (;;) {
        const ssize_t sent = ::sendmsg(socket.raw(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return static_cast<std::size_t>(sent);
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) return {};
    }
}

iovec part_of(std::string_view bytes) {
    return {const_cast<char*>(bytes.data()), bytes.size()};
}

}  // namespace

Client::Client(sys::Loop& loop, Fd socket, proto::AttachOptions options, ClientHooks hooks)
    : loop_(loop),
      socket_(std::move(socket)),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      matcher_(options_.detach_keys) {}

Result<std::unique_ptr<Client>> Client::create(sys::Loop& loop, Fd socket,
                                               proto::AttachOptions options, ClientHooks hooks) {
    std::unique_ptr<Client> client(
        new Client(loop, std::move(socket), std::move(options), std::move(hooks)));
    Client* raw = client.get();
    client->watch_ = TRY(loop.watch(client->socket_, EPOLLIN,
                                    [raw](std::uint32_t events) { raw->on_ready(events); }));
    return client;
}

void Client::send(Stream stream, std::string_view bytes) {
    if (state_ != State::open) return;
    const auto header = frame_header(stream, bytes.size());
    const std::string_view front(header.data(), options_.framed ? header.size() : 0);
    std::size_t sent = 0;
    if (queued() == 0) {
        const std::array parts{part_of(front), part_of(bytes)};
        const auto now = send_now(socket_, parts);
        if (!now) return close();
        sent = *now;
    }
    if (sent == front.size() + bytes.size()) return;
    queue_.append(front.substr(std::min(sent, front.size())));
    queue_.append(bytes.substr(sent > front.size() ? sent - front.size() : 0));
    update_watch();
}

void Client::flush() {
    const bool was_behind = queued() > client_queue_limit / 2;
    const std::array parts{part_of(std::string_view(queue_).substr(sent_))};
    const auto now = send_now(socket_, parts);
    if (!now) return close();
    sent_ += *now;
    if (queued() == 0) {
        queue_ = std::string();
        sent_ = 0;
    } else if (sent_ > client_queue_limit / 2) {
        queue_.erase(0, std::exchange(sent_, 0));
    }
    update_watch();
    if (was_behind && queued() <= client_queue_limit / 2) hooks_.on_drained();
    if (state_ != State::flushing) return;
    if (queued() == 0)
        linger();
    else if (*now > 0)
        expect_progress();
}

void Client::on_ready(std::uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) return on_hang_up();
    if (events & EPOLLOUT) flush();
    if (events & EPOLLIN && state_ != State::closed) read_input();
}

/// Both directions are closed: nobody will read, but the peer's last input is still to be taken.
void Client::on_hang_up() {
    while (!input_held_ && read_input()) continue;
    if (input_held_ && state_ == State::open) return watch_.pause();
    close();
}

bool Client::read_input() {
    if (state_ == State::closed || input_ended_) return false;
    std::array<char, input_size> buffer;
    const ssize_t got = ::recv(socket_.raw(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
        end_input();
        if (got < 0 || state_ == State::lingering)
            close();
        else
            update_watch();
        return false;
    }
    if (state_ == State::open) pass_input({buffer.data(), static_cast<std::size_t>(got)});
    return true;
}

void Client::take_preread(std::string_view bytes) {
    if (!bytes.empty()) pass_input(bytes);
}

void Client::pass_input(std::string_view bytes) {
    if (!options_.use_stdin) return;
    if (!heed_detach_keys_) return hooks_.on_input(bytes);
    std::string kept;
    const bool detached = matcher_.feed(bytes, kept);
    if (!kept.empty()) hooks_.on_input(kept);
    if (!detached) return;
    hooks_.on_detach();
    finish();
}

void Client::end_input() {
    if (std::exchange(input_ended_, true)) return;
    if (options_.use_stdin) hooks_.on_input_end();
}

void Client::hold_input(bool hold) {
    if (std::exchange(input_held_, hold) != hold) update_watch();
}

void Client::update_watch() {
    std::uint32_t events = 0;
    const bool reads = state_ == State::lingering || state_ == State::flushing || !input_held_;
    if (!input_ended_ && reads) events |= EPOLLIN;
    if (queued() > 0) events |= EPOLLOUT;
    watch_.set(events);
}

void Client::finish() {
    if (state_ != State::open) return;
    state_ = State::flushing;
    expect_progress();
    if (queued() == 0) return linger();
    update_watch();
}

void Client::expect_progress() {
    deadline_ = loop_.after(flush_patience, [this] { close(); });
}

/// Closing a socket with unread input resets the connection, and the peer may lose output that it
/// has not read yet. So only our side is shut until the peer has seen the end.
void Client::linger() {
    if (input_ended_ || ::shutdown(socket_.raw(), SHUT_WR) < 0) return close();
    state_ = State::lingering;
    deadline_ = loop_.after(linger_patience, [this] { close(); });
    update_watch();
}

void Client::close() {
    if (std::exchange(state_, State::closed) == State::closed) return;
    // Whoever else holds the connection must not keep it open.
    ::shutdown(socket_.raw(), SHUT_RDWR);
    watch_.reset();
    deadline_.reset();
    queue_ = std::string();
    sent_ = 0;
    socket_.reset();
    end_input();
    closing_ = loop_.after(milliseconds(0), [closed = hooks_.on_closed] { closed(); });
}

}  // namespace corten::shim
