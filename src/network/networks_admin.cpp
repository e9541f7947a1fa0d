// Networks as the API lists, makes and removes them.
#include "networks_state.hpp"

#include <base/clock.hpp>
#include <base/ids.hpp>
#include <base/text.hpp>

#include <algorithm>
#include <array>

namespace corten::network {

namespace {

/// The pools that user-defined networks get their subnets from, in order: 172.18/16 and up, then
/// 192.168/16 in pieces of 4096. 172.17/16 is the default bridge's.
std::vector<Subnet> subnet_pool() {
    std::vector<Subnet> out;
    const auto address = [](unsigned a, unsigned b, unsigned c) {
        return Ipv4{a << 24 | b << 16 | c << 8};
    };
    for (unsigned second = 17; second < 32; ++second) out.push_back({address(172, second, 0), 16});
    for (unsigned third = 0; third < 256; third += 16)
        out.push_back({address(192, 168, third), 20});
    return out;
}

/// What the host can already reach without a default route.
Result<std::vector<Subnet>> occupied(Rtnl& rtnl) {
    const auto addresses = TRY(rtnl.addresses());
    std::vector<Subnet> out;
    out.reserve(addresses.size());
    for (const auto& address : addresses) out.push_back(address.address);
    for (const auto& route : TRY(rtnl.routes()))
        if (route.destination.prefix > 0) out.push_back(route.destination);
    return out;
}

bool overlaps_any(const Subnet& subnet, const std::vector<Subnet>& others) {
    return std::ranges::any_of(others, [&](const Subnet& other) { return subnet.overlaps(other); });
}

Result<Subnet> choose_subnet() {
    Rtnl rtnl = TRY(Rtnl::open());
    const auto taken = TRY(occupied(rtnl));
    for (const auto& candidate : subnet_pool())
        if (!overlaps_any(candidate, taken)) return candidate;
    return fail(ErrorKind::no_space, "all predefined address pools have been fully subnetted");
}

std::string option(const Network& network, const std::string& name, std::string_view otherwise) {
    const auto found = network.options.find(name);
    return found == network.options.end() ? std::string(otherwise) : found->second;
}

/// Go's strconv.ParseBool, which docker reads these with.
Result<bool> flag(const Network& network, const std::string& name, bool otherwise) {
    const std::string text = option(network, name, otherwise ? "true" : "false");
    for (const auto* word : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == word) return true;
    for (const auto* word : {"0", "f", "F", "false", "FALSE", "False"})
        if (text == word) return false;
    return fail(ErrorKind::invalid, "option {}: \"{}\" is neither true nor false", name, text);
}

/// Docker's options that mean something here; of others' drivers any is kept and shown.
Result<void> check_options(const Network& network) {
    constexpr std::string_view docker = "com.docker.network.";
    constexpr std::array<std::string_view, 4> known = {
        "bridge.enable_icc", "bridge.enable_ip_masquerade", "bridge.name", "driver.mtu"};
    for (const auto& [name, value] : network.options) {
        if (!name.starts_with(docker)) continue;
        if (std::ranges::find(known, std::string_view(name).substr(docker.size())) == known.end())
            return fail(ErrorKind::not_built, "the network option {} is not implemented", name);
    }
    return {};
}

Result<void> read_options(Network& network) {
    TRY(check_options(network));
    const std::string prefix = "com.docker.network.bridge.";
    network.inter_container = TRY(flag(network, prefix + "enable_icc", network.inter_container));
    network.masquerade = TRY(flag(network, prefix + "enable_ip_masquerade", network.masquerade));
    const std::string bridge = option(network, prefix + "name", network.bridge);
    network.bridge = bridge.empty() ? fmt::format("br-{}", short_id(network.id)) : bridge;
    const std::string mtu = option(network, "com.docker.network.driver.mtu", "");
    if (mtu.empty()) return {};
    const auto value = TRY(parse_integer(mtu, "mtu"));
    // The least that IPv4 allows, and what a 16-bit length can hold.
    if (value < 68 || value > 65535)
        return fail(ErrorKind::invalid, "option com.docker.network.driver.mtu: {} is out of range",
                    mtu);
    network.mtu = value;
    return {};
}

/// Fills in subnet and gateway, and checks what was given.
Result<void> settle_addresses(Network& network) {
    const bool given = !network.subnet.empty();
    if (!given && (!network.gateway.empty() || !network.ip_range.empty()))
        return fail(ErrorKind::invalid, "a gateway or an IP range needs a subnet");
    const Subnet subnet = given ? TRY(Subnet::parse(network.subnet)) : TRY(choose_subnet());
    if (subnet != subnet.network())
        return fail(ErrorKind::invalid, "invalid subnet {}: it should be {}", subnet.text(),
                    subnet.network().text());
    if (subnet.prefix > 30)
        return fail(ErrorKind::invalid, "subnet {} has no room for a gateway and a container",
                    subnet.text());
    network.subnet = subnet.text();
    Ipv4 gateway{subnet.first().value + 1};
    if (!network.gateway.empty()) gateway = TRY(Ipv4::parse(network.gateway));
    if (!subnet.contains(gateway))
        return fail(ErrorKind::invalid, "gateway {} is not in subnet {}", gateway.text(),
                    network.subnet);
    network.gateway = gateway.text();
    if (network.ip_range.empty()) return {};
    const Subnet range = TRY(Subnet::parse(network.ip_range));
    if (range.prefix < subnet.prefix || !subnet.contains(range.address))
        return fail(ErrorKind::invalid, "IP range {} is not in subnet {}", network.ip_range,
                    network.subnet);
    return {};
}

/// It is part of the names that the name server knows.
bool is_network_name(std::string_view name) {
    const auto is_alnum = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && is_alnum(name[0]) && std::ranges::all_of(name, [&](char c) {
        return is_alnum(c) || c == '_' || c == '.' || c == '-';
    });
}

/// By name, id or a prefix of the id that is unique.
Result<Network> match(const Registry& registry, std::string_view wanted) {
    std::vector<const Network*> all;
    all.reserve(registry.active.size() + registry.passive.size());
    for (const auto& [id, network] : registry.active) all.push_back(&network.record);
    for (const auto& network : registry.passive) all.push_back(&network);
    std::vector<const Network*> matching;
    for (const auto* network : all) {
        if (network->name == wanted || network->id == wanted) return *network;
        if (!wanted.empty() && network->id.starts_with(wanted)) matching.push_back(network);
    }
    if (matching.size() > 1)
        return fail(ErrorKind::invalid, "network {} is ambiguous ({} matches found on ID prefix)",
                    wanted, matching.size());
    if (matching.empty()) return fail(ErrorKind::not_found, "network {} not found", wanted);
    return *matching.front();
}

}  // namespace

std::vector<Network> Networks::list() const {
    return state_->registry.with([](const Registry& r) {
        std::vector<Network> out;
        out.reserve(r.active.size() + r.passive.size());
        for (const auto& [id, network] : r.active) out.push_back(network.record);
        out.insert(out.end(), r.passive.begin(), r.passive.end());
        return out;
    });
}

Result<Network> Networks::find(std::string_view name_or_id) const {
    // "default" is what clients send for "whatever the daemon's default is".
    const bool usual = name_or_id == "default" || name_or_id.empty();
    return state_->registry.with(
        [&](const Registry& r) { return match(r, usual ? "bridge" : name_or_id); });
}

std::string Networks::host_gateway() const {
    return state_->registry.with(
        [&](const Registry& r) { return r.active.at(state_->default_id).record.gateway; });
}

namespace {

/// Two networks on one bridge would take each other's address.
Result<void> check_unused(const std::vector<Network>& all, const std::string& bridge) {
    const auto other = std::ranges::find(all, bridge, &Network::bridge);
    if (other == all.end()) return {};
    return fail(ErrorKind::forbidden,
                "conflict with network {} ({}): networks have same bridge name {}", other->id,
                other->name, bridge);
}

}  // namespace

Result<Network> Networks::create_network(Network wanted) {
    std::lock_guard one_at_a_time(state_->administration);
    if (wanted.driver.empty()) wanted.driver = "bridge";
    if (wanted.driver != "bridge")
        return fail(ErrorKind::not_found,
                    "could not find plugin {} in v1 plugin registry: plugin not found",
                    wanted.driver);
    if (is_predefined(wanted.name))
        return fail(ErrorKind::forbidden, "operation is not permitted on predefined {} network",
                    wanted.name);
    if (!is_network_name(wanted.name))
        return fail(ErrorKind::invalid,
                    "invalid network name \"{}\": only letters, digits, '_', '.' and '-' are "
                    "allowed, and it begins with a letter or a digit",
                    wanted.name);
    for (const auto& network : list())
        if (network.name == wanted.name)
            return fail(ErrorKind::conflict, "network with name {} already exists", wanted.name);
    if (wanted.id.empty()) wanted.id = random_id();
    if (wanted.created.empty()) wanted.created = rfc3339(now());
    TRY(read_options(wanted));
    TRY(check_unused(list(), wanted.bridge));
    TRY(settle_addresses(wanted));
    TRY(state_->add_network(wanted));
    if (auto loaded = state_->reload_rules(); !loaded) {
        state_->drop_network(wanted).ignore();  // the first error is the one to tell
        return std::move(loaded).error();
    }
    return find(wanted.id);
}

Result<void> Networks::State::drop_network(const Network& network) {
    TRY(registry.with([&](Registry& r) -> Result<void> {
        const auto found = r.active.find(network.id);
        if (found == r.active.end())
            return fail(ErrorKind::not_found, "network {} not found", network.name);
        if (found->second.ipam.used() > 0)
            return fail(ErrorKind::forbidden,
                        "error while removing network: network {} has active endpoints",
                        network.name);
        r.active.erase(found);
        return {};
    }));
    Rtnl rtnl = TRY(Rtnl::open());
    return remove_bridge(rtnl, network.bridge);
}

Result<void> Networks::remove_network(std::string_view name_or_id) {
    const Network network = TRY(find(name_or_id));
    if (network.id == state_->default_id || network.driver != "bridge")
        return fail(ErrorKind::forbidden, "{} is a pre-defined network and cannot be removed",
                    network.name);
    std::lock_guard one_at_a_time(state_->administration);
    // What was released a moment ago may still hang on the bridge.
    state_->reaper.wait();
    TRY(state_->drop_network(network));
    return state_->reload_rules();
}

Result<void> Networks::remove() {
    State& s = *state_;
    s.loopback_pool.drain();
    for (auto& item : s.bridge_pool.drain()) s.reaper.add({item.sandbox.host_interface, {}, {}});
    s.reaper.wait();
    TRY(s.rules.with([](Rules& r) { return r.firewall.remove_table(); }));
    Rtnl rtnl = TRY(Rtnl::open());
    for (const auto& network : list())
        if (!network.bridge.empty()) TRY(remove_bridge(rtnl, network.bridge));
    return {};
}

}  // namespace corten::network
