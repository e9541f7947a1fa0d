#include "registry.hpp"
#include "server_connection.hpp"

#include <sys/socket.h>
#include <sys/socket.hpp>

#include <netdb.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <thread>

namespace corten::http {

namespace {

using namespace std::chrono_literals;

Result<Fd> bind_tcp(const addrinfo& address) {
    Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("socket");
    const int on = 1;
    ::setsockopt(fd.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.raw(), address.ai_addr, address.ai_addrlen) < 0) return fail_errno("bind");
    if (::listen(fd.raw(), SOMAXCONN) < 0) return fail_errno("listen");
    return fd;
}

Result<Fd> bind_first(const std::string& host, const std::string& port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* list = nullptr;
    const int failed =
        ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &list);
    if (failed != 0) return fail(ErrorKind::invalid, "{}", ::gai_strerror(failed));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(list, ::freeaddrinfo);
    Error last(ErrorKind::invalid, "no address");
    for (const addrinfo* each = list; each; each = each->ai_next) {
        auto bound = bind_tcp(*each);
        if (bound.has_value()) return bound;
        last = std::move(bound).error();
    }
    return last;
}

std::uint16_t port_of(const Fd& socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(socket.raw(), reinterpret_cast<sockaddr*>(&address), &size);
    const auto port = address.ss_family == AF_INET6
                          ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                          : reinterpret_cast<sockaddr_in&>(address).sin_port;
    return ntohs(port);
}

void refuse(Fd socket) {
    constexpr std::string_view body = "{\"message\":\"too many connections, try later\"}";
    const std::string answer = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Connection: close\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
    // Whether it gets there is the client's luck: nothing waits here.
    (void)::send(socket.raw(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

Server::Server(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

std::unique_ptr<Server> Server::create(Handler handler, ServerOptions options) {
    return std::unique_ptr<Server>(
        new Server(std::make_shared<Shared>(std::move(handler), std::move(options))));
}

Server::~Server() {
    if (thread_) stop(0ms);
}

Result<void> Server::listen_unix(const UnixListener& listener) {
    Fd fd = TRY(sys::listen_unix(listener.path, sys::SocketType::stream, listener.mode));
    if (listener.group &&
        ::chown(listener.path.c_str(), static_cast<uid_t>(-1), *listener.group) < 0)
        return fail_errno("give {} to group {}", listener.path, *listener.group);
    adopt(std::move(fd));
    return {};
}

Result<std::uint16_t> Server::listen_tcp(const std::string& host, const std::string& port,
                                         std::shared_ptr<const TlsAcceptor> tls) {
    Fd fd = TRY(bind_first(host, port).context(fmt::format("listen on {}:{}", host, port)));
    const auto bound = port_of(fd);
    adopt(std::move(fd), std::move(tls));
    return bound;
}

void Server::adopt(Fd listener, std::shared_ptr<const TlsAcceptor> tls) {
    listeners_.push_back({std::move(listener), std::move(tls)});
}

Result<void> Server::start() {
    shared_->stop_event = TRY(sys::Event::create());
    thread_ = std::make_unique<std::thread>([this] { accept_loop(); });
    return {};
}

void Server::accept_loop() {
    ::pthread_setname_np(::pthread_self(), "http-accept");
    std::vector<FdView> waiting{shared_->stop_event->fd()};
    for (const auto& listener : listeners_) waiting.push_back(listener.fd);
    for (;;) {
        const auto ready = sys::wait_readable(waiting);
        if (!ready.has_value()) return shared_->report(ready.error());
        const std::size_t index = ready->value_or(0);
        if (index == 0) return;
        auto socket = sys::accept(waiting[index]);
        if (!socket.has_value()) {
            // Usually out of descriptors: the connection stays in the queue, so do not spin on it.
            shared_->report(socket.error());
            std::this_thread::sleep_for(50ms);
            continue;
        }
        if (shared_->size() >= shared_->options.most_connections) {
            refuse(std::move(*socket));
            continue;
        }
        auto started =
            ServerConnection::launch(shared_, std::move(*socket), listeners_[index - 1].tls);
        if (!started.has_value()) shared_->report(started.error());
    }
}

std::vector<std::string> Server::stop(std::chrono::milliseconds grace) {
    if (!thread_) return {};
    shared_->stop_event->set();
    thread_->join();
    thread_.reset();
    listeners_.clear();
    // Readers see the end of input: idle connections close, waiting handlers see their client go.
    shared_->shut_all(SHUT_RD);
    if (!shared_->wait_empty(grace)) {
        shared_->shut_all(SHUT_RDWR);
        shared_->wait_empty(1s);
    }
    return shared_->describe_all();
}

std::size_t Server::connections() const {
    return shared_->size();
}

std::string reason_of(int status) {
    switch (status) {
        case 100:
            return "Continue";
        case 101:
            return "Switching Protocols";
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 206:
            return "Partial Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 304:
            return "Not Modified";
        case 307:
            return "Temporary Redirect";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 413:
            return "Request Entity Too Large";
        case 416:
            return "Requested Range Not Satisfiable";
        case 417:
            return "Expectation Failed";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        default:
            return fmt::format("Status {}", status);
    }
}

}  // namespace corten::http
