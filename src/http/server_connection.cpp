#include "server_connection.hpp"

#include "pump.hpp"
#include "websocket.hpp"

#include <sys/epoll.h>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/socket.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <thread>

namespace corten::http {

namespace {

using namespace std::chrono_literals;

/// What an unread body may cost before closing is cheaper.
constexpr std::uint64_t drain_limit = 256 << 10;

std::string describe_unix_peer(const Fd& socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.raw(), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return "unix";
    return fmt::format("pid {} uid {}", peer.pid, peer.uid);
}

std::string describe_peer(const Fd& socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(socket.raw(), reinterpret_cast<sockaddr*>(&address), &size) < 0)
        return "unknown";
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return fmt::format("{}:{}", text, ntohs(v4.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
    }
    return describe_unix_peer(socket);
}

/// What has been sent and not been read yet. Only unix sockets know: TCP tells what the other
/// machine's kernel has not taken.
int unread_bytes(FdView socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    if (::getsockopt(socket.raw(), SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0) return 0;
    int unread = 0;
    if (domain != AF_UNIX || ::ioctl(socket.raw(), SIOCOUTQ, &unread) < 0) return 0;
    return unread;
}

/// Some clients (docker-py) read the head through a buffer and go on with the bare socket: what
/// comes with the head is lost to them. A client that reads late is not waited for.
void wait_until_read(FdView socket) {
    const auto end = std::chrono::steady_clock::now() + 100ms;
    while (unread_bytes(socket) > 0 && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(30us);
}

struct Secured {
    Server::Shared::Id id;
    std::unique_ptr<Stream> stream;
};

/// A handshake that fails closes its socket. It is made with a copy, so that `id`, which leaves
/// after it, never stands for a number that is another connection's already.
std::optional<Secured> shake_hands(const std::shared_ptr<Server::Shared>& shared, Fd& socket,
                                   const TlsAcceptor& tls) {
    auto copy = sys::duplicate(socket);
    if (!copy.has_value()) return {};
    auto secure =
        tls.accept(make_socket_stream(std::move(*copy)), Deadline::in(shared->options.header_time));
    if (!secure.has_value()) return {};
    const auto id = shared->enter((*secure)->fd());
    return Secured{id, std::move(*secure)};
}

void serve_socket(const std::shared_ptr<Server::Shared>& shared, Server::Shared::Id id, Fd socket,
                  const std::shared_ptr<const TlsAcceptor>& tls) {
    const std::string peer = describe_peer(socket);
    const int on = 1;
    // Fails on unix sockets, which do not need it.
    ::setsockopt(socket.raw(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::unique_ptr<Stream> stream;
    if (tls) {
        auto secure = shake_hands(shared, socket, *tls);
        shared->leave(id);
        socket.reset();
        if (!secure.has_value()) return;
        id = secure->id;
        stream = std::move(secure->stream);
    } else {
        stream = make_socket_stream(std::move(socket));
    }
    ServerConnection(shared, id, std::move(stream), peer).run();
}

}  // namespace

Result<void> ServerConnection::launch(const std::shared_ptr<Server::Shared>& shared, Fd socket,
                                      const std::shared_ptr<const TlsAcceptor>& tls) {
    const auto id = shared->enter(socket);
    auto held = std::make_shared<Fd>(std::move(socket));
    auto started = start_thread("http", shared->options.stack_bytes, [shared, id, held, tls] {
        serve_socket(shared, id, std::move(*held), tls);
    });
    if (!started.has_value()) shared->leave(id);
    return started;
}

ServerConnection::ServerConnection(std::shared_ptr<Server::Shared> shared, Server::Shared::Id id,
                                   std::unique_ptr<Stream> stream, std::string peer)
    : shared_(std::move(shared)),
      id_(id),
      stream_(std::move(stream)),
      input_(*stream_),
      peer_(std::move(peer)),
      write_stall_(shared_->options.write_stall) {}

ServerConnection::~ServerConnection() {
    shared_->leave(id_);
}

void ServerConnection::run() {
    for (;;) {
        shared_->describe(id_, "idle connection of " + peer_);
        auto head = next_head();
        if (!head.has_value()) return answer_bad_head(head.error());
        if (!head->has_value()) return;
        if (serve(std::move(**head)) == Next::close) break;
    }
    if (!hijacked_ && !broken_) linger();
}

Result<std::optional<Head>> ServerConnection::next_head() {
    if (input_.data().empty() && !stream_->has_pending()) {
        auto waited = stream_->wait(Step::wait_readable, Deadline::in(shared_->options.idle_time));
        if (!waited.has_value()) return std::optional<Head>();
    }
    return read_request_head(input_, Deadline::in(shared_->options.header_time));
}

ServerConnection::Next ServerConnection::serve(Head head) {
    head_ = std::move(head);
    body_.emplace(input_, head_->framing, head_->length);
    continue_due_ =
        !head_->http_1_0 && head_->headers.has_token("Expect", "100-continue") && !body_->done();
    broken_ = close_announced_ = false;
    write_stall_ = shared_->options.write_stall;

    Request request(*this);
    request.method = head_->method;
    std::string_view target = head_->target;
    // Proxies are sent whole URLs; ours are the same without scheme and authority.
    if (!target.starts_with('/') && target.find("://") != std::string_view::npos) {
        const auto slash = target.find('/', target.find("://") + 3);
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    const auto mark = target.find('?');
    request.path = target.substr(0, mark);
    if (mark != std::string_view::npos) request.query = Query::parse(target.substr(mark + 1));
    request.headers = std::move(head_->headers);
    request.peer = peer_;
    shared_->describe(id_, fmt::format("{} {} of {}", request.method, request.path, peer_));

    ResponseWriter answer(*this);
    call_handler(request, answer);
    return finish_request(answer);
}

void ServerConnection::call_handler(Request& request, ResponseWriter& answer) {
    try {
        shared_->handler(request, answer);
    } catch (const std::exception& e) {
        shared_->report(
            fail(ErrorKind::internal, "{} {}: {}", request.method, request.path, e.what()));
        if (answer.started()) return answer.abort();
        answer.headers().set("Content-Type", "application/json");
        answer.send(500, "{\"message\":\"internal error\"}\n").ignore();
    }
}

ServerConnection::Next ServerConnection::finish_request(ResponseWriter& answer) {
    if (hijacked_) return Next::close;
    if (!answer.started() && !broken_) {
        shared_->report(
            fail(ErrorKind::internal, "{} {} was not answered", head_->method, head_->target));
        answer.send(500, "").ignore();
    }
    if (!answer.finish().has_value()) broken_ = true;
    if (broken_) return Next::close;
    if (close_announced_ || continue_due_) return Next::close;
    return drain(drain_limit, Deadline::in(5s)) ? Next::keep_alive : Next::close;
}

void ServerConnection::answer_bad_head(const Error& error) {
    const int status = error.kind() == ErrorKind::no_space  ? 431
                       : error.kind() == ErrorKind::invalid ? 400
                                                            : 408;
    // Nothing to say to who sent nothing, or left.
    if (status == 408 && error.number() != ETIMEDOUT) return;
    const std::string body = reason_of(status) + "\n";
    const std::string answer = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        "Content-Length: {}\r\n\r\n{}",
        status, reason_of(status), body.size(), body);
    if (stream_->write(answer, 5s).has_value()) linger();
}

bool ServerConnection::drain(std::uint64_t most, Deadline deadline) {
    std::vector<char> waste;
    while (!body_->done()) {
        if (body_->remaining().value_or(0) > most) return false;
        waste.resize(16 << 10);
        const auto got = body_->read(waste, deadline);
        if (!got.has_value() || *got > most) return false;
        most -= *got;
    }
    return true;
}

void ServerConnection::linger() {
    // Closing with unread bytes would reset the connection, and the reset may overtake the answer.
    if (!stream_->shutdown_write().has_value()) return;
    std::vector<char> waste(16 << 10);
    const auto deadline = Deadline::in(2s);
    for (;;) {
        const auto got = stream_->read(waste, deadline);
        if (!got.has_value() || *got == 0) return;
    }
}

Result<void> ServerConnection::write(std::span<const std::string_view> parts) {
    auto written = stream_->write(parts, write_stall_);
    if (!written.has_value()) broken_ = true;
    return written;
}

Result<std::size_t> ServerConnection::read_body(std::span<char> buffer) {
    if (std::exchange(continue_due_, false))
        TRY(stream_->write("HTTP/1.1 100 Continue\r\n\r\n", write_stall_));
    auto got = body_->read(buffer, Deadline::in(shared_->options.body_stall));
    if (!got.has_value()) close_announced_ = true;
    return got;
}

Result<FdView> ServerConnection::gone_fd() {
    if (gone_) return FdView(gone_);
    // An epoll descriptor is readable when one of its events is there. The socket itself would be
    // readable, too, when a client sends its next request early.
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return fail_errno("epoll_create1");
    epoll_event event{};
    event.events = EPOLLRDHUP;
    if (::epoll_ctl(epoll.raw(), EPOLL_CTL_ADD, stream_->fd().raw(), &event) < 0)
        return fail_errno("epoll_ctl");
    gone_ = std::move(epoll);
    return FdView(gone_);
}

Result<Hijacked> ServerConnection::hijack(std::string_view head) {
    TRY(stream_->write(head, write_stall_));
    hijacked_ = true;
    Hijacked out;
    if (const FdView raw = stream_->raw_socket(); raw.valid()) {
        out.early = input_.take();
        out.socket = Fd(::fcntl(raw.raw(), F_DUPFD_CLOEXEC, 0));
        if (!out.socket) return fail_errno("dup");
        wait_until_read(out.socket);
        shared_->release(id_);
        return out;
    }
    out.early = input_.take();
    out.socket = TRY(pumped_socket());
    return out;
}

Result<Hijacked> ServerConnection::hijack_websocket(std::string_view head, MessageKind kind) {
    TRY(stream_->write(head, write_stall_));
    hijacked_ = true;
    stream_ = make_websocket(std::move(stream_), input_.take(), kind);
    return Hijacked{.socket = TRY(pumped_socket()), .early = {}};
}

Result<Fd> ServerConnection::pumped_socket() {
    auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::stream));
    auto near = std::make_shared<std::unique_ptr<Stream>>(make_socket_stream(std::move(ours)));
    auto far = std::make_shared<std::unique_ptr<Stream>>(std::move(stream_));
    const auto id = shared_->enter((*far)->fd());
    shared_->describe(id, "stream of " + peer_);
    auto started =
        start_thread("http-pump", shared_->options.stack_bytes, [shared = shared_, id, near, far] {
            pump(**near, **far);
            shared->leave(id);
            far->reset();
        });
    if (!started.has_value()) shared_->leave(id);
    TRY(std::move(started));
    return std::move(theirs);
}

}  // namespace corten::http
