#include <http/stream.hpp>
#include <sys/socket.h>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>

namespace corten::http {

namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> resolve(const std::string& host, const std::string& port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    int failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    if (failed == EAI_NONAME || failed == EAI_ADDRFAMILY) {
        // AI_ADDRCONFIG does not count loopback: a literal ::1 needs the second try.
        hints.ai_flags = 0;
        failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    }
    if (failed != 0)
        return fail(ErrorKind::unavailable, "lookup {}: {}", host, ::gai_strerror(failed));
    return Addresses(list);
}

/// Finishes a connect() that was started without blocking, and makes the socket block again.
Result<void> finish_connect(const Fd& socket, Deadline deadline) {
    pollfd entry{socket.raw(), POLLOUT, 0};
    const int ready = ::poll(&entry, 1, deadline.poll_timeout());
    if (ready < 0) return fail_errno("poll");
    if (ready == 0) return Error::from_errno(ETIMEDOUT, "connect");
    int number = 0;
    socklen_t size = sizeof number;
    ::getsockopt(socket.raw(), SOL_SOCKET, SO_ERROR, &number, &size);
    if (number != 0) return Error::from_errno(number, "connect");
    return {};
}

Result<Fd> connect_to(const addrinfo& address, Deadline deadline) {
    Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("socket");
    if (::connect(fd.raw(), address.ai_addr, address.ai_addrlen) < 0) {
        if (errno != EINPROGRESS) return fail_errno("connect");
        TRY(finish_connect(fd, deadline));
    }
    if (::fcntl(fd.raw(), F_SETFL, 0) < 0) return fail_errno("make the socket block");
    const int on = 1;
    // Without it small requests wait for the peer's delayed acknowledgement; failing only costs
    // time.
    ::setsockopt(fd.raw(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

}  // namespace

Result<Fd> connect_tcp(const std::string& host, const std::string& port, Deadline deadline) {
    const Addresses addresses = TRY(resolve(host, port));
    Error last(ErrorKind::unavailable, "no address");
    for (const addrinfo* each = addresses.get(); each; each = each->ai_next) {
        auto connected = connect_to(*each, deadline);
        if (connected.has_value()) return connected;
        last = std::move(connected).error();
    }
    return std::move(last)
        .context(fmt::format("{}:{}", host, port))
        .with_kind(ErrorKind::unavailable);
}

}  // namespace corten::http
