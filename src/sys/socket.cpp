#include <base/rollback.hpp>
#include <sys/file.hpp>
#include <sys/socket.h>
#include <sys/socket.hpp>
#include <sys/un.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace corten::sys {

namespace {

constexpr std::size_t most_fds = 16;

int kernel_type(SocketType type) {
    return (type == SocketType::stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC;
}

/// An address for `path`, and the directory it may be relative to (sun_path holds 108 bytes).
struct UnixAddress {
    sockaddr_un address{};
    Fd directory;
};

Result<UnixAddress> address_of(const std::string& path) {
    UnixAddress out;
    out.address.sun_family = AF_UNIX;
    std::string shown = path;
    if (path.size() >= sizeof out.address.sun_path) {
        const auto slash = path.rfind('/');
        if (slash == std::string::npos)
            return fail(ErrorKind::invalid, "socket path {} is too long", path);
        out.directory = TRY(open(path.substr(0, slash), O_PATH | O_DIRECTORY));
        shown = fmt::format("/proc/self/fd/{}{}", out.directory.raw(), path.substr(slash));
        if (shown.size() >= sizeof out.address.sun_path)
            return fail(ErrorKind::invalid, "socket path {} is too long", path);
    }
    std::memcpy(out.address.sun_path, shown.c_str(), shown.size() + 1);
    return out;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Result<Fd> connect_unix(const std::string& path, SocketType type) {
    Fd fd(::socket(AF_UNIX, kernel_type(type), 0));
    if (!fd) return fail_errno("socket");
    const UnixAddress address = TRY(address_of(path));
    if (::connect(fd.raw(), generic(address.address), sizeof address.address) < 0)
        return fail_errno("connect to {}", path);
    return fd;
}

Result<Fd> listen_unix(const std::string& path, SocketType type, mode_t mode, int backlog) {
    if (connect_unix(path, type).has_value())
        return fail(ErrorKind::conflict, "{} is in use: another process listens on it", path);
    TRY(remove_file(path));
    Fd fd(::socket(AF_UNIX, kernel_type(type), 0));
    if (!fd) return fail_errno("socket");
    const UnixAddress address = TRY(address_of(path));
    if (::bind(fd.raw(), generic(address.address), sizeof address.address) < 0)
        return fail_errno("bind {}", path);
    // Before listen(): nobody can connect to the socket while its mode is still the umask's.
    if (::chmod(path.c_str(), mode) < 0) return fail_errno("chmod {}", path);
    if (::listen(fd.raw(), backlog) < 0) return fail_errno("listen on {}", path);
    return fd;
}

Result<Fd> accept(FdView listener) {
    for (;;) {
        Fd fd(::accept4(listener.raw(), nullptr, nullptr, SOCK_CLOEXEC));
        if (fd) return fd;
        if (errno != EINTR && errno != ECONNABORTED) return fail_errno("accept");
    }
}

Result<std::pair<Fd, Fd>> socket_pair(SocketType type) {
    int ends[2];
    if (::socketpair(AF_UNIX, kernel_type(type), 0, ends) < 0) return fail_errno("socketpair");
    return std::pair{Fd(ends[0]), Fd(ends[1])};
}

Result<void> shutdown_write(FdView socket) {
    if (::shutdown(socket.raw(), SHUT_WR) < 0) return fail_errno("shutdown");
    return {};
}

namespace {

Result<void> send_flagged(FdView socket, std::string_view bytes, const std::vector<FdView>& fds,
                          int flags) {
    if (fds.size() > most_fds)
        return fail(ErrorKind::internal, "{} descriptors in one message, at most {}", fds.size(),
                    most_fds);
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(most_fds * sizeof(int))] = {};
    if (!fds.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        for (std::size_t i = 0; i < fds.size(); ++i) {
            const int raw = fds[i].raw();
            std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &raw, sizeof raw);
        }
    }
    ssize_t sent = -1;
    do {
        sent = ::sendmsg(socket.raw(), &header, MSG_NOSIGNAL | flags);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail_errno("send message of {} bytes", bytes.size());
    return {};
}

}  // namespace

Result<void> send_message(FdView socket, std::string_view bytes, const std::vector<FdView>& fds) {
    return send_flagged(socket, bytes, fds, 0);
}

Result<void> try_send_message(FdView socket, std::string_view bytes,
                              const std::vector<FdView>& fds) {
    return send_flagged(socket, bytes, fds, MSG_DONTWAIT);
}

namespace {

std::vector<Fd> take_fds(msghdr& header) {
    std::vector<Fd> fds;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int raw = -1;
            std::memcpy(&raw, CMSG_DATA(part) + i * sizeof(int), sizeof raw);
            fds.emplace_back(raw);
        }
    }
    return fds;
}

}  // namespace

Result<Message> receive_message(FdView socket, std::size_t limit) {
    // The kernel says how long the next packet is, so that short ones take no large buffer.
    ssize_t length = -1;
    do {
        length = ::recv(socket.raw(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
    } while (length < 0 && errno == EINTR);
    if (length < 0) return fail_errno("receive message");
    if (static_cast<std::size_t>(length) > limit) {
        // Taken off the queue, descriptors included, or it would be found here again and again.
        (void)::recv(socket.raw(), nullptr, 0, 0);
        return fail(ErrorKind::invalid, "message of {} bytes, at most {} are taken", length, limit);
    }

    Message message;
    message.bytes.resize(static_cast<std::size_t>(length));
    iovec part{message.bytes.data(), message.bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(most_fds * sizeof(int))];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t received = -1;
    do {
        received = ::recvmsg(socket.raw(), &header, MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0) return fail_errno("receive message");
    message.fds = take_fds(header);
    if (header.msg_flags & MSG_CTRUNC)
        return fail(ErrorKind::invalid, "message carries too many descriptors");
    message.end = received == 0 && message.fds.empty();
    return message;
}

}  // namespace corten::sys
