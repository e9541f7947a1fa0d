#include "rtnl.hpp"

#include <endian.h>
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <cerrno>

namespace corten::network {

namespace {

constexpr std::uint16_t create_new = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

Ipv4 address_in(sys::Bytes bytes) {
    std::uint32_t value = 0;
    if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return Ipv4{be32toh(value)};
}

std::optional<Ipv4> address_of(const sys::NetlinkAttributes& attributes, std::uint16_t type) {
    const auto bytes = attributes.find(type);
    return bytes ? std::optional(address_in(*bytes)) : std::nullopt;
}

void put_address(sys::NetlinkRequest& request, std::uint16_t type, Ipv4 address) {
    request.put_u32(type, address.big_endian());
}

InterfaceStats stats_of(const sys::NetlinkAttributes& attributes) {
    InterfaceStats out;
    rtnl_link_stats64 raw{};
    const auto bytes = attributes.find(IFLA_STATS64);
    if (!bytes) return out;
    // Later kernels append members; earlier ones have fewer.
    std::memcpy(&raw, bytes->data(), std::min(bytes->size(), sizeof raw));
    out.rx_bytes = raw.rx_bytes;
    out.rx_packets = raw.rx_packets;
    out.rx_errors = raw.rx_errors;
    out.rx_dropped = raw.rx_dropped;
    out.tx_bytes = raw.tx_bytes;
    out.tx_packets = raw.tx_packets;
    out.tx_errors = raw.tx_errors;
    out.tx_dropped = raw.tx_dropped;
    return out;
}

Link link_of(const sys::NetlinkMessage& message) {
    const auto head = message.header<ifinfomsg>();
    const auto attributes = message.attributes<ifinfomsg>();
    Link link;
    link.index = head.ifi_index;
    link.up = (head.ifi_flags & IFF_UP) != 0;
    const auto state = attributes.find(IFLA_OPERSTATE);
    link.operational = state && !state->empty() && state->front() == std::byte{IF_OPER_UP};
    link.name = attributes.text(IFLA_IFNAME).value_or("");
    link.mtu = attributes.u32(IFLA_MTU).value_or(0);
    link.master = static_cast<int>(attributes.u32(IFLA_MASTER).value_or(0));
    link.alias = attributes.text(IFLA_IFALIAS).value_or("");
    const auto info = attributes.nested(IFLA_LINKINFO);
    link.kind = info.text(IFLA_INFO_KIND).value_or("");
    const auto port_state = info.nested(IFLA_INFO_SLAVE_DATA).find(IFLA_BRPORT_STATE);
    link.forwards =
        port_state && !port_state->empty() && port_state->front() == std::byte{BR_STATE_FORWARDING};
    if (const auto mac = attributes.find(IFLA_ADDRESS); mac && mac->size() == link.mac.bytes.size())
        std::memcpy(link.mac.bytes.data(), mac->data(), mac->size());
    link.stats = stats_of(attributes);
    link.stats.name = link.name;
    return link;
}

std::optional<Route> route_of(const sys::NetlinkMessage& message) {
    const auto head = message.header<rtmsg>();
    const auto attributes = message.attributes<rtmsg>();
    if (attributes.u32(RTA_TABLE).value_or(head.rtm_table) != RT_TABLE_MAIN) return std::nullopt;
    Route route;
    route.destination = {address_of(attributes, RTA_DST).value_or(Ipv4{}), head.rtm_dst_len};
    route.gateway = address_of(attributes, RTA_GATEWAY);
    route.source = address_of(attributes, RTA_PREFSRC);
    route.link = static_cast<int>(attributes.u32(RTA_OIF).value_or(0));
    return route;
}

}  // namespace

void RtnlBatch::begin_link(std::uint16_t type, int index, std::string what, std::uint16_t flags) {
    request_.begin(type, flags == 0 ? NLM_F_ACK : flags, std::move(what));
    ifinfomsg head{};
    head.ifi_index = index;
    request_.header(head);
}

void RtnlBatch::create_bridge(const std::string& name, const MacAddress& mac, std::uint32_t mtu) {
    begin_link(RTM_NEWLINK, 0, fmt::format("create bridge {}", name), create_new);
    request_.put_text(IFLA_IFNAME, name);
    request_.put_u32(IFLA_MTU, mtu);
    request_.put(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
    request_.nest(IFLA_LINKINFO, [&] { request_.put_text(IFLA_INFO_KIND, "bridge"); });
}

void RtnlBatch::create_veth(const VethRequest& veth) {
    request_.begin(RTM_NEWLINK, create_new, fmt::format("create veth pair {}", veth.host_name));
    ifinfomsg host{};
    host.ifi_flags = host.ifi_change = IFF_UP;
    request_.header(host);
    request_.put_text(IFLA_IFNAME, veth.host_name);
    request_.put_u32(IFLA_MTU, veth.mtu);
    request_.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(veth.master));
    request_.nest(IFLA_LINKINFO, [&] {
        request_.put_text(IFLA_INFO_KIND, "veth");
        request_.nest(IFLA_INFO_DATA, [&] {
            request_.nest(VETH_INFO_PEER, [&] {
                request_.header(ifinfomsg{});
                request_.put_text(IFLA_IFNAME, veth.inner_name);
                request_.put_u32(IFLA_MTU, veth.mtu);
                request_.put(IFLA_ADDRESS, veth.inner_mac.bytes.data(),
                             veth.inner_mac.bytes.size());
                request_.put_u32(IFLA_NET_NS_FD,
                                 static_cast<std::uint32_t>(veth.network_namespace.raw()));
            });
        });
    });
}

void RtnlBatch::delete_link(int index) {
    begin_link(RTM_DELLINK, index, fmt::format("delete interface {}", index));
}

void RtnlBatch::set_group(int index, std::uint32_t group) {
    begin_link(RTM_NEWLINK, index, fmt::format("set group of interface {}", index));
    request_.put_u32(IFLA_GROUP, group);
}

void RtnlBatch::delete_group(std::uint32_t group) {
    begin_link(RTM_DELLINK, 0, "delete interfaces");
    request_.put_u32(IFLA_GROUP, group);
}

void RtnlBatch::set_up(int index) {
    request_.begin(RTM_NEWLINK, NLM_F_ACK, fmt::format("set interface {} up", index));
    ifinfomsg head{};
    head.ifi_index = index;
    head.ifi_flags = head.ifi_change = IFF_UP;
    request_.header(head);
}

void RtnlBatch::set_mac(int index, const MacAddress& mac) {
    begin_link(RTM_NEWLINK, index, fmt::format("set MAC address {}", mac.text()));
    request_.put(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
}

void RtnlBatch::rename(int index, const std::string& name) {
    begin_link(RTM_NEWLINK, index, fmt::format("rename interface to {}", name));
    request_.put_text(IFLA_IFNAME, name);
}

void RtnlBatch::set_alias(int index, std::string_view alias) {
    begin_link(RTM_NEWLINK, index, "set the interface's alias");
    request_.put(IFLA_IFALIAS, alias.data(), alias.size());
}

void RtnlBatch::port_flag(int index, std::uint16_t attribute, std::string_view what) {
    request_.begin(RTM_SETLINK, NLM_F_ACK, std::string(what));
    ifinfomsg head{};
    head.ifi_family = AF_BRIDGE;
    head.ifi_index = index;
    request_.header(head);
    request_.nest(IFLA_PROTINFO, [&] { request_.put_u8(attribute, 1); });
}

void RtnlBatch::set_hairpin(int index) {
    port_flag(index, IFLA_BRPORT_MODE, "set hairpin mode");
}

void RtnlBatch::set_isolated(int index) {
    port_flag(index, IFLA_BRPORT_ISOLATED, "isolate the bridge port");
}

namespace {

void put_interface_address(sys::NetlinkRequest& request, int index, const Subnet& address) {
    ifaddrmsg head{};
    head.ifa_family = AF_INET;
    head.ifa_prefixlen = static_cast<std::uint8_t>(address.prefix);
    head.ifa_index = static_cast<std::uint32_t>(index);
    request.header(head);
    put_address(request, IFA_LOCAL, address.address);
    put_address(request, IFA_ADDRESS, address.address);
}

}  // namespace

void RtnlBatch::add_address(int index, const Subnet& address) {
    request_.begin(RTM_NEWADDR, create_new, fmt::format("add address {}", address.text()));
    put_interface_address(request_, index, address);
    // As docker sets it; without one, tools that ask for the broadcast address get 0.0.0.0.
    if (address.prefix < 31) put_address(request_, IFA_BROADCAST, address.last());
}

void RtnlBatch::delete_address(int index, const Subnet& address) {
    request_.begin(RTM_DELADDR, NLM_F_ACK, fmt::format("delete address {}", address.text()));
    put_interface_address(request_, index, address);
}

void RtnlBatch::add_default_route(Ipv4 gateway, int index) {
    default_route(gateway, index, create_new);
}

void RtnlBatch::replace_default_route(Ipv4 gateway, int index) {
    default_route(gateway, index, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
}

void RtnlBatch::default_route(Ipv4 gateway, int index, std::uint16_t flags) {
    request_.begin(RTM_NEWROUTE, flags, fmt::format("add default route via {}", gateway.text()));
    rtmsg head{};
    head.rtm_family = AF_INET;
    head.rtm_table = RT_TABLE_MAIN;
    head.rtm_protocol = RTPROT_BOOT;
    head.rtm_scope = RT_SCOPE_UNIVERSE;
    head.rtm_type = RTN_UNICAST;
    request_.header(head);
    put_address(request_, RTA_GATEWAY, gateway);
    request_.put_u32(RTA_OIF, static_cast<std::uint32_t>(index));
}

Result<Rtnl> Rtnl::open() {
    return Rtnl(TRY(sys::NetlinkSocket::open(NETLINK_ROUTE)));
}

Result<Rtnl> Rtnl::open_in(FdView network_namespace) {
    return Rtnl(TRY(sys::NetlinkSocket::open_in(network_namespace, NETLINK_ROUTE)));
}

Result<void> Rtnl::delete_links(const std::vector<int>& indices) {
    // The group of interfaces that wait for their deletion; those that another daemon marked for
    // the same may go along.
    constexpr std::uint32_t doomed = 0x636f7274;
    if (indices.empty()) return {};
    bool any = false;
    for (const int index : indices) {
        RtnlBatch mark;
        mark.set_group(index, doomed);
        auto marked = execute(std::move(mark));
        if (!marked && marked.error().number() != ENODEV) return marked;
        any = any || marked;
    }
    if (!any) return {};
    RtnlBatch batch;
    batch.delete_group(doomed);
    auto deleted = execute(std::move(batch));
    const bool gone =
        !deleted && (deleted.error().number() == ENODEV || deleted.error().number() == ESRCH);
    return gone ? Result<void>() : deleted;
}

Result<std::optional<Link>> Rtnl::find(const std::string& name) {
    sys::NetlinkRequest request;
    request.begin(RTM_GETLINK, NLM_F_ACK, fmt::format("look up interface {}", name));
    request.header(ifinfomsg{});
    request.put_text(IFLA_IFNAME, name);
    return find(request);
}

Result<std::optional<Link>> Rtnl::find(int index) {
    sys::NetlinkRequest request;
    request.begin(RTM_GETLINK, NLM_F_ACK, fmt::format("look up interface {}", index));
    ifinfomsg wanted{};
    wanted.ifi_index = index;
    request.header(wanted);
    return find(request);
}

Result<std::optional<Link>> Rtnl::find(const sys::NetlinkRequest& request) {
    std::optional<Link> found;
    auto asked = socket_.dump(request, [&](const sys::NetlinkMessage& message) {
        if (message.type == RTM_NEWLINK) found = link_of(message);
    });
    if (!asked && asked.error().number() != ENODEV) return std::move(asked).error();
    return found;
}

Result<std::vector<Link>> Rtnl::links() {
    sys::NetlinkRequest request;
    request.begin(RTM_GETLINK, NLM_F_DUMP, "list interfaces");
    request.header(ifinfomsg{});
    std::vector<Link> links;
    TRY(socket_.dump(request, [&](const sys::NetlinkMessage& message) {
        if (message.type == RTM_NEWLINK) links.push_back(link_of(message));
    }));
    return links;
}

Result<std::vector<LinkAddress>> Rtnl::addresses() {
    sys::NetlinkRequest request;
    request.begin(RTM_GETADDR, NLM_F_DUMP, "list addresses");
    ifaddrmsg wanted{};
    wanted.ifa_family = AF_INET;
    request.header(wanted);
    std::vector<LinkAddress> addresses;
    TRY(socket_.dump(request, [&](const sys::NetlinkMessage& message) {
        const auto head = message.header<ifaddrmsg>();
        const auto local = address_of(message.attributes<ifaddrmsg>(), IFA_LOCAL);
        if (message.type == RTM_NEWADDR && local)
            addresses.push_back({static_cast<int>(head.ifa_index), {*local, head.ifa_prefixlen}});
    }));
    return addresses;
}

Result<std::vector<Route>> Rtnl::routes() {
    sys::NetlinkRequest request;
    request.begin(RTM_GETROUTE, NLM_F_DUMP, "list routes");
    rtmsg wanted{};
    wanted.rtm_family = AF_INET;
    request.header(wanted);
    std::vector<Route> routes;
    TRY(socket_.dump(request, [&](const sys::NetlinkMessage& message) {
        if (message.type != RTM_NEWROUTE) return;
        if (const auto route = route_of(message)) routes.push_back(*route);
    }));
    return routes;
}

}  // namespace corten::network
