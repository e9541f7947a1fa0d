#include "dns_sockets.hpp"

#include "nft.hpp"

#include <network/etc_files.hpp>
#include <sys/namespaces.hpp>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace corten::network {

namespace {

constexpr const char* table = "corten_names";
constexpr std::uint16_t dns_port = 53;
constexpr int backlog = 32;
constexpr std::int32_t priority_of_dnat = -100;

Result<Ipv4> server_address() {
    return Ipv4::parse(name_server_address);
}

Result<Fd> bound(int type) {
    Fd socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("socket of the name server");
    const sockaddr_in address{.sin_family = AF_INET,
                              .sin_port = 0,
                              .sin_addr = {.s_addr = TRY(server_address()).big_endian()},
                              .sin_zero = {}};
    if (::bind(socket.raw(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail_errno("bind the name server to {}", name_server_address);
    return socket;
}

Result<std::uint16_t> port_of(const Fd& socket) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket.raw(), reinterpret_cast<sockaddr*>(&address), &size) < 0)
        return fail_errno("port of the name server");
    return ntohs(address.sin_port);
}

/// Answers find their way back by what the kernel remembers of the connection.
Result<void> lead_here(const DnsSockets& sockets) {
    const Ipv4 address = TRY(server_address());
    const nft::Set ports{"servers", {"inet_proto", "inet_service"}, {"ipv4_addr", "inet_service"}};
    std::vector<nft::Element> elements(2);
    elements[0].key.protocol(IPPROTO_UDP).port(dns_port);
    elements[0].data.address(address).port(TRY(port_of(sockets.datagram)));
    elements[1].key.protocol(IPPROTO_TCP).port(dns_port);
    elements[1].data.address(address).port(TRY(port_of(sockets.listener)));

    auto socket = TRY(sys::NetlinkSocket::open(NETLINK_NETFILTER));
    nft::Transaction transaction(table);
    transaction.add_table();
    transaction.delete_table();
    transaction.add_table();
    transaction.add_set(ports);
    transaction.add_elements(ports, elements);
    transaction.add_chain(
        {.name = "output",
         .type = "nat",
         .hook = nft::Hook::output,
         .priority = priority_of_dnat,
         .rules = {nft::Rule().destination({address, 32}).dnat_by_port(ports.name)}});
    return std::move(transaction).commit(socket);
}

}  // namespace

Result<DnsSockets> open_dns_sockets(FdView network_namespace) {
    DnsSockets sockets;
    TRY(sys::in_network_namespace(network_namespace, [&]() -> Result<void> {
            sockets.datagram = TRY(bound(SOCK_DGRAM));
            sockets.listener = TRY(bound(SOCK_STREAM));
            if (::listen(sockets.listener.raw(), backlog) < 0)
                return fail_errno("listen at {}", name_server_address);
            return lead_here(sockets);
        }).context("name server"));
    return sockets;
}

}  // namespace corten::network
