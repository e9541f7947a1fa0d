#include "ports.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/socket.h>

#include <linux/filter.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace corten::network {

namespace {

constexpr std::uint16_t fallback_first = 49153;
constexpr std::uint16_t fallback_last = 65535;

std::string_view name_of(std::uint8_t protocol) {
    return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "sctp";
}

int socket_type(std::uint8_t protocol) {
    return (protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
}

/// What still reaches the holder was not translated (its rules are gone, or it came from where they
/// do not apply). Dropping it here is better than a connection that nobody ever accepts.
void drop_everything(const Fd& socket) {
    sock_filter instruction = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog program{1, &instruction};
    // Without the filter the port is held all the same.
    (void)::setsockopt(socket.raw(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

Error bind_error(int number, std::uint8_t protocol, Ipv4 ip, std::uint16_t port) {
    const char* reason = number == EADDRINUSE      ? "address already in use"
                         : number == EADDRNOTAVAIL ? "cannot assign requested address"
                         : number == EACCES        ? "permission denied"
                                                   : std::strerror(number);
    const auto kind = number == EADDRINUSE ? ErrorKind::conflict : ErrorKind::io;
    return fail(kind, "listen {}4 {}:{}: bind: {}", name_of(protocol), ip.text(), port, reason)
        .with_number(number);
}

/// Binds, and for TCP listens: two sockets with SO_REUSEADDR may share a port until one listens,
/// and nearly every server sets it.
Result<Fd> bind_socket(std::uint8_t protocol, Ipv4 ip, std::uint16_t port) {
    Fd socket(::socket(AF_INET, socket_type(protocol), protocol));
    if (!socket && errno == EPROTONOSUPPORT && protocol == IPPROTO_SCTP) return Fd();
    if (!socket) return fail_errno("socket");
    const int on = 1;
    if (protocol != IPPROTO_UDP &&
        ::setsockopt(socket.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return fail_errno("SO_REUSEADDR");
    drop_everything(socket);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = ip.big_endian();
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    const bool bound = ::bind(socket.raw(), generic, sizeof address) == 0 &&
                       (protocol == IPPROTO_UDP || ::listen(socket.raw(), 1) == 0);
    if (!bound) return bind_error(errno, protocol, ip, port);
    return socket;
}

bool in_use(const Error& error) {
    return error.number() == EADDRINUSE;
}

}  // namespace

Result<std::uint8_t> protocol_number(std::string_view name) {
    if (name == "tcp" || name.empty()) return std::uint8_t{IPPROTO_TCP};
    if (name == "udp") return std::uint8_t{IPPROTO_UDP};
    if (name == "sctp") return std::uint8_t{IPPROTO_SCTP};
    return fail(ErrorKind::invalid, "invalid proto: {}", name);
}

PortTable PortTable::with_kernel_range() {
    const auto text = sys::read_file("/proc/sys/net/ipv4/ip_local_port_range").value_or("");
    const auto [first, last] = split_once(trim(text), '\t');
    const auto low = parse_integer(trim(first), "port").value_or(fallback_first);
    const auto high = parse_integer(trim(last), "port").value_or(fallback_last);
    const bool usable = low > 0 && low <= high && high <= 65535;
    if (!usable) return PortTable(fallback_first, fallback_last);
    return PortTable(static_cast<std::uint16_t>(low), static_cast<std::uint16_t>(high));
}

bool PortTable::taken(std::uint8_t protocol, Ipv4 ip, std::uint16_t port) const {
    for (const auto& [owner, ports] : held_)
        for (const auto& held : ports)
            if (held.protocol == protocol && held.port == port &&
                (held.ip == ip || held.ip.is_any() || ip.is_any()))
                return true;
    return false;
}

Result<HeldPort> PortTable::try_port(std::uint8_t protocol, Ipv4 ip, std::uint16_t port) const {
    if (taken(protocol, ip, port))
        return fail(ErrorKind::conflict, "Bind for {}:{} failed: port is already allocated",
                    ip.text(), port)
            .with_number(EADDRINUSE);
    return HeldPort{protocol, ip, port, TRY(bind_socket(protocol, ip, port))};
}

Result<HeldPort> PortTable::hold_ephemeral(std::uint8_t protocol, Ipv4 ip) {
    const int count = last_ - first_ + 1;
    for (int attempt = 0; attempt < count; ++attempt) {
        const std::uint16_t port = next_;
        next_ = next_ == last_ ? first_ : static_cast<std::uint16_t>(next_ + 1);
        auto held = try_port(protocol, ip, port);
        if (held || !in_use(held.error())) return held;
    }
    return fail(ErrorKind::no_space, "all ports are allocated");
}

Result<HeldPort> PortTable::hold_one(const PortRequest& request) {
    const std::uint8_t protocol = TRY(protocol_number(request.protocol));
    const Ipv4 ip = request.host_ip.empty() ? Ipv4{} : TRY(Ipv4::parse(request.host_ip));
    if (request.container_port == 0) return fail(ErrorKind::invalid, "invalid container port: 0");
    if (request.host_port_first == 0) return hold_ephemeral(protocol, ip);
    const unsigned last = std::max(request.host_port_first, request.host_port_last);
    for (unsigned port = request.host_port_first;; ++port) {
        auto held = try_port(protocol, ip, static_cast<std::uint16_t>(port));
        if (held || port == last || !in_use(held.error())) return held;
    }
}

Result<std::vector<PublishedPort>> PortTable::hold(const std::string& owner,
                                                   std::span<const PortRequest> requests) {
    std::vector<PublishedPort> published;
    std::vector<HeldPort>& mine = held_[owner];
    const std::size_t before = mine.size();
    for (const auto& request : requests) {
        auto held = hold_one(request);
        if (!held) {
            mine.resize(before);
            if (mine.empty()) held_.erase(owner);
            return std::move(held).error();
        }
        published.push_back({std::string(name_of(held->protocol)), held->ip.text(), held->port,
                             request.container_port});
        mine.push_back(std::move(*held));
    }
    return published;
}

Result<void> PortTable::hold_exactly(const std::string& owner,
                                     std::span<const PublishedPort> ports) {
    std::vector<PortRequest> requests;
    for (const auto& port : ports)
        requests.push_back({port.protocol, port.container_port, port.host_ip, port.host_port, 0});
    TRY(hold(owner, requests));
    return {};
}

}  // namespace corten::network
