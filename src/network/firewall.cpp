#include "firewall.hpp"

#include <cerrno>

namespace corten::network {

namespace {

using nft::Chain;
using nft::Element;
using nft::Hook;
using nft::Match;
using nft::Rule;
using nft::Set;
using nft::Value;

const Set bridges{"bridges", {"ifname"}, {}};
const Set internal{"internal", {"ifname"}, {}};
const Set talking{"talking", {"ifname", "ifname"}, {}};
const Set guarded_set{"guarded", {"ifname"}, {}};
const Set ports{"ports", {"inet_proto", "inet_service"}, {"ipv4_addr", "inet_service"}};
const Set address_ports{
    "address_ports", {"inet_proto", "ipv4_addr", "inet_service"}, {"ipv4_addr", "inet_service"}};

constexpr Subnet loopback{{127U << 24}, 8};
constexpr std::int32_t priority_raw = -300;
constexpr std::int32_t priority_dstnat = -100;
constexpr std::int32_t priority_srcnat = 100;

const Set& set_of(const Mapping& mapping) {
    return mapping.host_ip.is_any() ? ports : address_ports;
}

Element element_of(const Mapping& mapping) {
    Element out;
    out.key.protocol(mapping.protocol);
    if (!mapping.host_ip.is_any()) out.key.address(mapping.host_ip);
    out.key.port(mapping.host_port);
    out.data.address(mapping.container_ip).port(mapping.container_port);
    out.comment = mapping.owner.substr(0, 64);
    return out;
}

std::vector<Element> elements_in(const Set& set, std::span<const Mapping> mappings) {
    std::vector<Element> out;
    for (const auto& mapping : mappings)
        if (&set_of(mapping) == &set) out.push_back(element_of(mapping));
    return out;
}

std::vector<Element> interface_elements(const std::vector<std::string>& names) {
    std::vector<Element> out;
    out.reserve(names.size());
    for (const auto& name : names) out.push_back({Value().interface(name), {}, {}});
    return out;
}

/// route_localnet, which lets the host reach published ports on 127.0.0.1, would also let a
/// container address the host's own loopback services (CVE-2020-8558).
Chain spoof_chain() {
    return {"spoof",
            "filter",
            Hook::prerouting,
            priority_raw,
            {Rule().iifname_in(bridges.name).destination(loopback).drop(),
             Rule().iifname_in(bridges.name).source(loopback).drop()}};
}

Chain translation_chain(std::string name, Hook hook) {
    return {std::move(name),
            "nat",
            hook,
            priority_dstnat,
            {Rule().destination_is_local().dnat_by_address_and_port(address_ports.name),
             Rule().destination_is_local().dnat_by_port(ports.name)}};
}

/// Accepting here only ends our own chain; a later table may still drop.
Chain forward_chain() {
    return {"forward",
            "filter",
            Hook::forward,
            0,
            {Rule().interfaces_in(talking.name).accept().comment("between containers"),
             Rule().iifname_in(internal.name).drop(), Rule().oifname_in(internal.name).drop(),
             Rule().oifname_in(bridges.name).established().accept(),
             Rule().oifname_in(bridges.name).translated().accept().comment("published ports"),
             Rule().oifname_in(bridges.name).drop().comment("nothing else gets in"),
             Rule()
                 .iifname_in(guarded_set.name)
                 .oifname_in(guarded_set.name)
                 .drop()
                 .comment("did not forward before")}};
}

Chain source_chain(const std::vector<FilteredNetwork>& networks) {
    Chain chain{"postrouting", "nat", Hook::postrouting, priority_srcnat, {}};
    chain.rules.push_back(Rule()
                              .oifname_in(bridges.name)
                              .source(loopback)
                              .masquerade()
                              .comment("from 127.0.0.1 to a published port"));
    for (const auto& network : networks) {
        // A container that reaches its neighbour by the host's address must see the answer come
        // from there, so it has to go back through the host.
        chain.rules.push_back(Rule()
                                  .oifname(network.bridge)
                                  .source(network.subnet)
                                  .translated()
                                  .masquerade()
                                  .comment("hairpin"));
        if (network.masquerade && !network.internal)
            chain.rules.push_back(Rule()
                                      .source(network.subnet)
                                      .oifname(network.bridge, Match::not_equal)
                                      .masquerade());
    }
    return chain;
}

}  // namespace

Ruleset make_ruleset(const std::vector<FilteredNetwork>& networks,
                     const std::vector<std::string>& guarded,
                     const std::vector<Mapping>& mappings) {
    std::vector<std::string> all;
    std::vector<std::string> inside;
    std::vector<Element> pairs;
    for (const auto& network : networks) {
        all.push_back(network.bridge);
        if (network.internal) inside.push_back(network.bridge);
        if (network.inter_container)
            pairs.push_back({Value().interface(network.bridge).interface(network.bridge), {}, {}});
    }
    Ruleset out;
    out.sets = {{bridges, interface_elements(all)},
                {internal, interface_elements(inside)},
                {talking, pairs},
                {guarded_set, interface_elements(guarded)},
                {ports, elements_in(ports, mappings)},
                {address_ports, elements_in(address_ports, mappings)}};
    out.chains = {spoof_chain(), translation_chain("prerouting", Hook::prerouting),
                  translation_chain("output", Hook::output), forward_chain(),
                  source_chain(networks)};
    return out;
}

namespace {

std::string element_text(const Set& set, const Element& element) {
    std::string text = fmt::format("@{} {}", set.name, element.key.text());
    if (set.is_map()) text += " : " + element.data.text();
    if (!element.comment.empty()) text += fmt::format(" comment \"{}\"", element.comment);
    return text;
}

std::string rule_text(const Chain& chain, const Rule& rule) {
    return fmt::format("{}: {}", chain.name, rule.text());
}

/// A rule that names no bridge or names this one; sets of bridges hold this one or the rule is
/// about others only.
bool concerns(const Ruleset& ruleset, const Rule& rule, std::string_view bridge) {
    const std::string text = rule.text();
    if (text.find('"' + std::string(bridge) + '"') != std::string::npos) return true;
    if (text.find("map @") != std::string::npos) return true;
    for (const auto& [set, elements] : ruleset.sets) {
        if (text.find('@' + set.name) == std::string::npos) continue;
        for (const auto& element : elements)
            if (element.key.text().find('"' + std::string(bridge) + '"') != std::string::npos)
                return true;
    }
    return false;
}

}  // namespace

std::vector<std::string> ruleset_text(const Ruleset& ruleset) {
    std::vector<std::string> lines;
    for (const auto& [set, elements] : ruleset.sets)
        for (const auto& element : elements) lines.push_back(element_text(set, element));
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules) lines.push_back(rule_text(chain, rule));
    return lines;
}

std::vector<std::string> rules_about(const Ruleset& ruleset, std::string_view bridge,
                                     Ipv4 address) {
    std::vector<std::string> lines;
    const Value wanted = Value().address(address);
    for (const auto& [set, elements] : ruleset.sets)
        for (const auto& element : elements)
            if (set.is_map() &&
                std::ranges::equal(std::span(element.data.bytes()).first(4), wanted.bytes()))
                lines.push_back(element_text(set, element));
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            if (concerns(ruleset, rule, bridge)) lines.push_back(rule_text(chain, rule));
    return lines;
}

std::string Firewall::table_for(std::string_view bridge) {
    std::string name = "corten_" + std::string(bridge);
    for (char& c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.';
        if (!plain) c = '_';
    }
    return name;
}

Result<Firewall> Firewall::open(std::string table) {
    return Firewall(std::move(table), TRY(sys::NetlinkSocket::open(NETLINK_NETFILTER)));
}

Result<void> Firewall::replace(const Ruleset& ruleset) {
    nft::Transaction change(table_);
    change.add_table();
    change.delete_table();
    change.add_table();
    for (const auto& [set, elements] : ruleset.sets) {
        change.add_set(set);
        change.add_elements(set, elements);
    }
    for (const auto& chain : ruleset.chains) change.add_chain(chain);
    return std::move(change).commit(socket_);
}

Result<void> Firewall::add(std::span<const Mapping> mappings) {
    if (mappings.empty()) return {};
    nft::Transaction change(table_);
    for (const Set* set : {&ports, &address_ports})
        change.add_elements(*set, elements_in(*set, mappings));
    return std::move(change).commit(socket_);
}

Result<void> Firewall::remove(std::span<const Mapping> mappings) {
    if (mappings.empty()) return {};
    nft::Transaction change(table_);
    for (const Set* set : {&ports, &address_ports})
        change.delete_elements(*set, elements_in(*set, mappings));
    auto done = std::move(change).commit(socket_);
    if (!done && done.error().number() == ENOENT) {
        // One that is missing spoils the whole transaction: take the others one by one.
        if (mappings.size() == 1) return {};
        for (std::size_t i = 0; i < mappings.size(); ++i) TRY(remove(mappings.subspan(i, 1)));
        return {};
    }
    return done;
}

Result<void> Firewall::remove_table() {
    nft::Transaction change(table_);
    change.add_table();
    change.delete_table();
    return std::move(change).commit(socket_);
}

Result<std::vector<std::string>> Firewall::guarded() {
    std::vector<std::string> names;
    for (const auto& key : TRY(nft::elements_of(socket_, table_, guarded_set.name))) {
        std::string name(reinterpret_cast<const char*>(key.data()), key.size());
        names.push_back(name.substr(0, name.find('\0')));
    }
    return names;
}

}  // namespace corten::network
