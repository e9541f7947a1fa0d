#include "nft.hpp"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>

#include <array>

namespace corten::network::nft {

namespace {

// Of linux/netfilter/nf_conntrack_common.h, which has no user-space form of the state bits.
constexpr std::uint32_t ct_established = 1U << 1;
constexpr std::uint32_t ct_related = 1U << 2;
constexpr std::uint32_t ct_status_dnat = 1U << 5;

constexpr std::uint32_t saddr_offset = 12;
constexpr std::uint32_t daddr_offset = 16;
constexpr std::uint32_t dport_offset = 2;

// The 4-byte registers of a concatenated key; NFT_REG_1 is the first four of them as one.
constexpr std::uint32_t reg(unsigned index) {
    return NFT_REG32_00 + index;
}

void put_value(sys::NetlinkRequest& out, std::uint16_t attribute, const void* data, std::size_t n) {
    out.nest(attribute, [&] { out.put(NFTA_DATA_VALUE, data, n); });
}

void put_payload(sys::NetlinkRequest& out, std::uint32_t to, std::uint32_t base,
                 std::uint32_t offset, std::uint32_t length) {
    out.put_be32(NFTA_PAYLOAD_DREG, to);
    out.put_be32(NFTA_PAYLOAD_BASE, base);
    out.put_be32(NFTA_PAYLOAD_OFFSET, offset);
    out.put_be32(NFTA_PAYLOAD_LEN, length);
}

void put_meta(sys::NetlinkRequest& out, std::uint32_t to, std::uint32_t key) {
    out.put_be32(NFTA_META_DREG, to);
    out.put_be32(NFTA_META_KEY, key);
}

void put_compare(sys::NetlinkRequest& out, std::uint32_t op, const void* data, std::size_t size) {
    out.put_be32(NFTA_CMP_SREG, NFT_REG_1);
    out.put_be32(NFTA_CMP_OP, op);
    put_value(out, NFTA_CMP_DATA, data, size);
}

void put_mask(sys::NetlinkRequest& out, std::uint32_t mask) {
    constexpr std::uint32_t zero = 0;
    out.put_be32(NFTA_BITWISE_SREG, NFT_REG_1);
    out.put_be32(NFTA_BITWISE_DREG, NFT_REG_1);
    out.put_be32(NFTA_BITWISE_LEN, sizeof mask);
    put_value(out, NFTA_BITWISE_MASK, &mask, sizeof mask);
    put_value(out, NFTA_BITWISE_XOR, &zero, sizeof zero);
}

std::array<char, IFNAMSIZ> interface_bytes(std::string_view name) {
    std::array<char, IFNAMSIZ> out{};
    std::ranges::copy(name.substr(0, IFNAMSIZ - 1), out.begin());
    return out;
}

}  // namespace

std::string_view protocol_name(std::uint8_t number) {
    switch (number) {
        case IPPROTO_TCP:
            return "tcp";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_SCTP:
            return "sctp";
        default:
            return "unknown";
    }
}

Value& Value::append(const void* data, std::size_t size, std::string_view text) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + (size + 3) / 4 * 4);
    std::memcpy(bytes_.data() + at, data, size);
    if (!text_.empty()) text_ += " . ";
    text_ += text;
    return *this;
}

Value& Value::interface(std::string_view name) {
    const auto bytes = interface_bytes(name);
    return append(bytes.data(), bytes.size(), fmt::format("\"{}\"", name));
}

Value& Value::protocol(std::uint8_t number) {
    return append(&number, sizeof number, protocol_name(number));
}

Value& Value::address(Ipv4 address) {
    const std::uint32_t value = address.big_endian();
    return append(&value, sizeof value, address.text());
}

Value& Value::port(std::uint16_t port) {
    const std::uint16_t value = htobe16(port);
    return append(&value, sizeof value, std::to_string(port));
}

Rule& Rule::add(std::string_view name, Expression attributes) {
    expressions_.emplace_back(name, std::move(attributes));
    return *this;
}

Rule& Rule::say(std::string_view words) {
    if (!text_.empty()) text_ += ' ';
    text_ += words;
    return *this;
}

Rule& Rule::load_interface(std::uint32_t key, std::uint32_t to) {
    return add("meta", [=](auto& out) { put_meta(out, to, key); });
}

Rule& Rule::compare_interface(std::uint32_t key, std::string_view name, Match match) {
    load_interface(key, NFT_REG_1);
    const auto bytes = interface_bytes(name);
    const std::uint32_t op = match == Match::equal ? NFT_CMP_EQ : NFT_CMP_NEQ;
    return add("cmp", [=](auto& out) { put_compare(out, op, bytes.data(), bytes.size()); });
}

namespace {
std::string named(std::string_view field, std::string_view name, Match match) {
    return fmt::format("{} {}\"{}\"", field, match == Match::equal ? "" : "!= ", name);
}
}  // namespace

Rule& Rule::iifname(std::string_view name, Match match) {
    return compare_interface(NFT_META_IIFNAME, name, match).say(named("iifname", name, match));
}

Rule& Rule::oifname(std::string_view name, Match match) {
    return compare_interface(NFT_META_OIFNAME, name, match).say(named("oifname", name, match));
}

Rule& Rule::look_up(std::string_view set) {
    return add("lookup", [set = std::string(set)](auto& out) {
        out.put_text(NFTA_LOOKUP_SET, set);
        out.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
    });
}

Rule& Rule::iifname_in(std::string_view set) {
    return load_interface(NFT_META_IIFNAME, NFT_REG_1)
        .look_up(set)
        .say(fmt::format("iifname @{}", set));
}

Rule& Rule::oifname_in(std::string_view set) {
    return load_interface(NFT_META_OIFNAME, NFT_REG_1)
        .look_up(set)
        .say(fmt::format("oifname @{}", set));
}

Rule& Rule::interfaces_in(std::string_view set) {
    return load_interface(NFT_META_IIFNAME, NFT_REG_1)
        .load_interface(NFT_META_OIFNAME, NFT_REG_2)
        .look_up(set)
        .say(fmt::format("iifname . oifname @{}", set));
}

Rule& Rule::match_subnet(std::uint32_t offset, const Subnet& subnet) {
    const std::uint32_t mask = htobe32(subnet.mask());
    const std::uint32_t network = subnet.first().big_endian();
    add("payload", [=](auto& out) {
        put_payload(out, NFT_REG_1, NFT_PAYLOAD_NETWORK_HEADER, offset, sizeof network);
    });
    add("bitwise", [=](auto& out) { put_mask(out, mask); });
    return add("cmp", [=](auto& out) { put_compare(out, NFT_CMP_EQ, &network, sizeof network); });
}

Rule& Rule::source(const Subnet& subnet) {
    return match_subnet(saddr_offset, subnet).say("ip saddr " + subnet.network().text());
}

Rule& Rule::destination(const Subnet& subnet) {
    return match_subnet(daddr_offset, subnet).say("ip daddr " + subnet.network().text());
}

Rule& Rule::destination_is_local() {
    add("fib", [](auto& out) {
        out.put_be32(NFTA_FIB_DREG, NFT_REG_1);
        out.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
        out.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    });
    static constexpr std::uint32_t local = 2;  // RTN_LOCAL
    return add("cmp", [](auto& out) { put_compare(out, NFT_CMP_EQ, &local, sizeof local); })
        .say("fib daddr type local");
}

Rule& Rule::match_bits(std::uint32_t key, std::uint32_t bits) {
    add("ct", [=](auto& out) {
        out.put_be32(NFTA_CT_DREG, NFT_REG_1);
        out.put_be32(NFTA_CT_KEY, key);
    });
    add("bitwise", [=](auto& out) { put_mask(out, bits); });
    static constexpr std::uint32_t zero = 0;
    return add("cmp", [](auto& out) { put_compare(out, NFT_CMP_NEQ, &zero, sizeof zero); });
}

Rule& Rule::established() {
    return match_bits(NFT_CT_STATE, ct_established | ct_related)
        .say("ct state established,related");
}

Rule& Rule::translated() {
    return match_bits(NFT_CT_STATUS, ct_status_dnat).say("ct status dnat");
}

Rule& Rule::comment(std::string_view text) {
    comment_ = text;
    return *this;
}

Rule& Rule::verdict(std::uint32_t code) {
    return add("immediate", [=](auto& out) {
        out.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        out.nest(NFTA_IMMEDIATE_DATA, [&] {
            out.nest(NFTA_DATA_VERDICT, [&] { out.put_be32(NFTA_VERDICT_CODE, code); });
        });
    });
}

Rule& Rule::accept() {
    return verdict(NF_ACCEPT).say("accept");
}
Rule& Rule::drop() {
    return verdict(NF_DROP).say("drop");
}

Rule& Rule::masquerade() {
    return add("masq", [](auto&) {}).say("masquerade");
}

Rule& Rule::dnat(std::string_view map) {
    add("lookup", [map = std::string(map)](auto& out) {
        out.put_text(NFTA_LOOKUP_SET, map);
        out.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
        out.put_be32(NFTA_LOOKUP_DREG, NFT_REG_1);
    });
    return add("nat", [](auto& out) {
        out.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
        out.put_be32(NFTA_NAT_FAMILY, NFPROTO_IPV4);
        out.put_be32(NFTA_NAT_REG_ADDR_MIN, reg(0));
        out.put_be32(NFTA_NAT_REG_PROTO_MIN, reg(1));
    });
}

Rule& Rule::dnat_by_port(std::string_view map) {
    load_interface(NFT_META_L4PROTO, reg(0));
    add("payload",
        [](auto& out) { put_payload(out, reg(1), NFT_PAYLOAD_TRANSPORT_HEADER, dport_offset, 2); });
    return dnat(map).say(fmt::format("dnat ip to meta l4proto . th dport map @{}", map));
}

Rule& Rule::dnat_by_address_and_port(std::string_view map) {
    load_interface(NFT_META_L4PROTO, reg(0));
    add("payload",
        [](auto& out) { put_payload(out, reg(1), NFT_PAYLOAD_NETWORK_HEADER, daddr_offset, 4); });
    add("payload",
        [](auto& out) { put_payload(out, reg(2), NFT_PAYLOAD_TRANSPORT_HEADER, dport_offset, 2); });
    return dnat(map).say(fmt::format("dnat ip to meta l4proto . ip daddr . th dport map @{}", map));
}

std::string Rule::text() const {
    return comment_.empty() ? text_ : fmt::format("{} comment \"{}\"", text_, comment_);
}

void Rule::encode(sys::NetlinkRequest& out) const {
    out.nest(NFTA_RULE_EXPRESSIONS, [&] {
        for (const auto& [name, attributes] : expressions_)
            out.nest(NFTA_LIST_ELEM, [&] {
                out.put_text(NFTA_EXPR_NAME, name);
                out.nest(NFTA_EXPR_DATA, [&] { attributes(out); });
            });
    });
    if (comment_.empty()) return;
    // User data is type, length, value; type 0 of a rule is its comment, NUL included.
    std::string data{'\0', static_cast<char>(comment_.size() + 1)};
    data += comment_;
    data += '\0';
    out.put(NFTA_RULE_USERDATA, data.data(), data.size());
}

}  // namespace corten::network::nft
