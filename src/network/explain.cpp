// What is on the host and inside for one container: counters, interfaces, routes, rules.
#include "networks_state.hpp"

#include <base/text.hpp>

namespace corten::network {

namespace {

Result<std::vector<InterfaceStats>> stats_of(Rtnl& inside) {
    std::vector<InterfaceStats> out;
    for (const auto& link : TRY(inside.links()))
        if (link.name != "lo") out.push_back(link.stats);
    return out;
}

std::string name_of(const std::vector<Link>& links, int index) {
    const auto found = std::ranges::find(links, index, &Link::index);
    return found == links.end() ? std::string() : found->name;
}

InterfaceReport report_on(const Link& link, const std::vector<Link>& links,
                          const std::vector<LinkAddress>& addresses) {
    InterfaceReport out;
    out.name = link.name;
    out.index = link.index;
    out.mac = link.mac.text();
    out.mtu = link.mtu;
    out.up = link.up;
    out.master = name_of(links, link.master);
    for (const auto& address : addresses)
        if (address.link == link.index) out.addresses.push_back(address.address.text());
    return out;
}

std::string route_text(const Route& route, const std::vector<Link>& links) {
    std::string text = route.destination.prefix == 0 ? "default" : route.destination.text();
    if (route.gateway) text += " via " + route.gateway->text();
    text += " dev " + name_of(links, route.link);
    if (route.source) text += " src " + route.source->text();
    return text;
}

Result<void> look_outside(const Endpoint& endpoint, EndpointReport& report) {
    Rtnl host = TRY(Rtnl::open());
    const auto links = TRY(host.links());
    const auto addresses = TRY(host.addresses());
    for (const auto& link : links) {
        if (link.name == endpoint.bridge) report.bridge = report_on(link, links, addresses);
        if (link.name == endpoint.host_interface)
            report.host_interface = report_on(link, links, addresses);
    }
    return {};
}

Result<void> look_inside(Rtnl& inside, EndpointReport& report) {
    const auto links = TRY(inside.links());
    const auto addresses = TRY(inside.addresses());
    for (const auto& link : links) report.interfaces.push_back(report_on(link, links, addresses));
    for (const auto& route : TRY(inside.routes()))
        report.routes.push_back(route_text(route, links));
    return {};
}

}  // namespace

Result<std::vector<InterfaceStats>> interface_stats(FdView network_namespace) {
    Rtnl inside = TRY(Rtnl::open_in(network_namespace));
    return stats_of(inside);
}

Inside Networks::State::inside_of(std::string_view container_id) const {
    return registry.with([&](const Registry& r) {
        const auto found = r.containers.find(std::string(container_id));
        return found == r.containers.end() ? Inside() : found->second;
    });
}

Result<std::vector<InterfaceStats>> Networks::stats(std::string_view container_id) const {
    const Inside inside = state_->inside_of(container_id);
    if (!inside) return std::vector<InterfaceStats>();
    return inside->with(stats_of);
}

Result<std::vector<InterfaceReport>> Networks::host_interfaces() const {
    Rtnl host = TRY(Rtnl::open());
    const auto links = TRY(host.links());
    const auto addresses = TRY(host.addresses());
    std::vector<InterfaceReport> out;
    for (const auto& link : links) out.push_back(report_on(link, links, addresses));
    return out;
}

Result<EndpointReport> Networks::explain(const Endpoint& endpoint) const {
    const State& s = *state_;
    EndpointReport report;
    TRY(look_outside(endpoint, report));
    if (const Inside inside = s.inside_of(endpoint.container_id))
        TRY(inside->with([&](Rtnl& rtnl) { return look_inside(rtnl, report); }));
    const Ipv4 ip = TRY(Ipv4::parse(endpoint.ip));
    const auto networks = s.filtered();
    auto socket = TRY(sys::NetlinkSocket::open(NETLINK_NETFILTER));
    const bool loaded = TRY(nft::table_exists(socket, Firewall::table_for(s.options.bridge)));
    s.rules.with([&](const Rules& r) {
        report.table = "ip " + r.firewall.table();
        report.table_loaded = loaded;
        report.rules =
            rules_about(make_ruleset(networks, r.guarded, r.all_mappings()), endpoint.bridge, ip);
    });
    return report;
}

}  // namespace corten::network
