#include "bridge.hpp"

#include <base/rollback.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace corten::network {

namespace {

constexpr std::string_view our_alias = "corten bridge";
constexpr const char* forwarding = "/proc/sys/net/ipv4/ip_forward";
constexpr std::size_t longest_name = 15;  // IFNAMSIZ without the NUL

Result<void> check_name(const std::string& name) {
    const bool bad = name.empty() || name.size() > longest_name || name == "." || name == ".." ||
                     name.find_first_of("/: \t\n\"") != std::string::npos;
    if (bad) return fail(ErrorKind::invalid, "\"{}\" is not a valid interface name", name);
    return {};
}

/// A subnet that is already reachable some other way would be cut off by our bridge's route.
Result<void> check_free(Rtnl& rtnl, const Subnet& subnet) {
    for (const auto& address : TRY(rtnl.addresses()))
        if (subnet.overlaps(address.address))
            return fail(
                ErrorKind::conflict,
                "the bridge's subnet {} overlaps {}, an address of this host: choose another",
                subnet.network().text(), address.address.text());
    for (const auto& route : TRY(rtnl.routes()))
        if (route.destination.prefix > 0 && subnet.overlaps(route.destination))
            return fail(ErrorKind::conflict,
                        "the bridge's subnet {} overlaps the route to {}: choose another",
                        subnet.network().text(), route.destination.text());
    return {};
}

Result<std::optional<Subnet>> address_of(Rtnl& rtnl, int index) {
    for (const auto& address : TRY(rtnl.addresses()))
        if (address.link == index) return std::optional(address.address);
    return std::optional<Subnet>();
}

Result<Link> make_bridge(Rtnl& rtnl, const std::string& name, const Subnet& address,
                         std::uint32_t mtu) {
    TRY(check_free(rtnl, address));
    RtnlBatch create;
    // With a MAC address of its own it does not change with the ports that come and go.
    create.create_bridge(name, MacAddress::from(address.address), mtu);
    TRY(rtnl.execute(std::move(create)));
    const auto link = TRY(rtnl.find(name));
    if (!link) return fail(ErrorKind::io, "bridge {} vanished after it was made", name);
    RtnlBatch mark;
    mark.set_alias(link->index, our_alias);
    TRY(rtnl.execute(std::move(mark)));
    return *link;
}

Result<void> write_sysctl(const std::string& path, std::string_view value) {
    return sys::write_existing("/proc/sys/net/" + path, value);
}

bool is_ours(const Link& link) {
    return link.alias == our_alias;
}

}  // namespace

Result<Bridge> ensure_bridge(Rtnl& rtnl, const std::string& name, const Subnet& address,
                             std::uint32_t mtu) {
    TRY(check_name(name));
    auto link = TRY(rtnl.find(name));
    const bool made = !link;
    Rollback undo;
    if (made) link = TRY(make_bridge(rtnl, name, address, mtu));
    if (made) undo.add([&] { remove_bridge(rtnl, name).ignore(); });
    if (!made && link->kind != "bridge")
        return fail(ErrorKind::conflict, "interface {} exists and is not a bridge", name);
    const auto current = TRY(address_of(rtnl, link->index));
    // Our own bridge follows a changed --bip; one that somebody else set up is left as it is.
    const bool change = !current || (is_ours(*link) && *current != address);
    RtnlBatch setup;
    if (current && change) setup.delete_address(link->index, *current);
    if (change) setup.add_address(link->index, address);
    setup.set_up(link->index);
    TRY(rtnl.execute(std::move(setup)).context(fmt::format("bridge {}", name)));
    undo.commit();
    return Bridge{link->index, name, change ? address : *current, made};
}

Result<void> remove_bridge(Rtnl& rtnl, const std::string& name) {
    const auto link = TRY(rtnl.find(name));
    if (!link || !is_ours(*link)) return {};
    // The kernel takes the interfaces of an ended namespace away in its own time.
    constexpr int most_tries = 300;
    for (int tries = 0;; ++tries) {
        const auto links = TRY(rtnl.links());
        const auto port = std::ranges::find(links, link->index, &Link::master);
        if (port == links.end()) break;
        if (tries == most_tries) return {};  // somebody's, and so is the bridge
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    RtnlBatch batch;
    batch.delete_link(link->index);
    return rtnl.execute(std::move(batch));
}

Result<void> set_bridge_sysctls(const std::string& name) {
    // A dot in an interface's name is a slash in sysctl's paths, but a plain dot in the file's
    // name.
    TRY(write_sysctl(fmt::format("ipv4/conf/{}/route_localnet", name), "1"));
    const std::string ipv6 = fmt::format("ipv6/conf/{}/", name);
    if (!sys::exists("/proc/sys/net/" + ipv6)) return {};  // a kernel without IPv6
    TRY(write_sysctl(ipv6 + "accept_ra", "0"));
    return write_sysctl(ipv6 + "disable_ipv6", "1");
}

bool forwarding_enabled() {
    return sys::read_file(forwarding).value_or("").starts_with('1');
}

Result<void> enable_forwarding() {
    return sys::write_existing(forwarding, "1");
}

Result<std::vector<std::string>> hardware_interfaces(Rtnl& rtnl) {
    std::vector<std::string> names;
    for (const auto& link : TRY(rtnl.links()))
        if (link.kind.empty() && link.name != "lo") names.push_back(link.name);
    return names;
}

bool bridge_netfilter_active() {
    const auto value = sys::read_file("/proc/sys/net/bridge/bridge-nf-call-iptables");
    return value && value->starts_with('1');
}

}  // namespace corten::network
