#include "conntrack.hpp"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cerrno>

namespace corten::network {

namespace {

constexpr std::uint16_t message_type(std::uint16_t message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

constexpr nfgenmsg ipv4_header{AF_INET, NFNETLINK_V0, 0};

/// One direction of a flow.
struct Tuple {
    Ipv4 source;
    Ipv4 destination;
    std::uint8_t protocol = 0;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
};

std::uint16_t port_in(const sys::NetlinkAttributes& attributes, std::uint16_t type) {
    const auto bytes = attributes.find(type);
    std::uint16_t value = 0;
    if (bytes && bytes->size() >= sizeof value) std::memcpy(&value, bytes->data(), sizeof value);
    return be16toh(value);
}

Tuple tuple_in(const sys::NetlinkAttributes& attributes) {
    const auto ip = attributes.nested(CTA_TUPLE_IP);
    const auto protocol = attributes.nested(CTA_TUPLE_PROTO);
    Tuple out;
    out.source = {ip.be32(CTA_IP_V4_SRC).value_or(0)};
    out.destination = {ip.be32(CTA_IP_V4_DST).value_or(0)};
    const auto number = protocol.find(CTA_PROTO_NUM);
    if (number && !number->empty()) out.protocol = std::to_integer<std::uint8_t>(number->front());
    out.source_port = port_in(protocol, CTA_PROTO_SRC_PORT);
    out.destination_port = port_in(protocol, CTA_PROTO_DST_PORT);
    return out;
}

bool belongs(const Tuple& original, const Tuple& reply, const Mapping& mapping) {
    const bool to_host = original.destination_port == mapping.host_port &&
                         (mapping.host_ip.is_any() || original.destination == mapping.host_ip);
    const bool to_container =
        reply.source == mapping.container_ip && reply.source_port == mapping.container_port;
    return to_host || to_container;
}

/// The delete request for one entry names it by its first tuple, as it was listed.
sys::NetlinkRequest deletion_of(sys::Bytes original, std::optional<std::uint32_t> id) {
    sys::NetlinkRequest request;
    request.begin(message_type(IPCTNL_MSG_CT_DELETE), NLM_F_ACK, "forget a UDP flow");
    request.header(ipv4_header);
    request.put(CTA_TUPLE_ORIG | NLA_F_NESTED, original.data(), original.size());
    if (id) request.put_u32(CTA_ID, *id);
    return request;
}

}  // namespace

Result<void> forget_udp_flows(std::span<const Mapping> mappings) {
    std::vector<Mapping> udp;
    std::ranges::copy_if(mappings, std::back_inserter(udp),
                         [](const Mapping& m) { return m.protocol == IPPROTO_UDP; });
    if (udp.empty()) return {};
    auto socket = TRY(sys::NetlinkSocket::open(NETLINK_NETFILTER));
    sys::NetlinkRequest list;
    list.begin(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, "list connections");
    list.header(ipv4_header);
    std::vector<sys::NetlinkRequest> deletions;
    TRY(socket.dump(list, [&](const sys::NetlinkMessage& message) {
        const auto attributes = message.attributes<nfgenmsg>();
        const Tuple original = tuple_in(attributes.nested(CTA_TUPLE_ORIG));
        const Tuple reply = tuple_in(attributes.nested(CTA_TUPLE_REPLY));
        const auto bytes = attributes.find(CTA_TUPLE_ORIG);
        const auto mine = [&](const Mapping& m) { return belongs(original, reply, m); };
        if (bytes && original.protocol == IPPROTO_UDP && std::ranges::any_of(udp, mine))
            deletions.push_back(deletion_of(*bytes, attributes.u32(CTA_ID)));
    }));
    for (auto& deletion : deletions) {
        auto done = socket.execute(std::move(deletion));
        if (!done && done.error().number() != ENOENT) return done;  // it may have run out meanwhile
    }
    return {};
}

}  // namespace corten::network
