#include "nft.hpp"

#include <sys/socket.h>

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>

namespace corten::network::nft {

namespace {

nfgenmsg family_header(std::uint8_t family, std::uint16_t resource = 0) {
    return {family, NFNETLINK_V0, htobe16(resource)};
}

constexpr std::uint16_t message_type(std::uint16_t message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

struct Type {
    std::string_view name;
    std::uint32_t number;  ///< nft's own numbering, so that `nft list` shows the set rightly
    std::uint32_t length;
};
constexpr Type types[] = {
    {"ipv4_addr", 7, 4}, {"inet_proto", 12, 1}, {"inet_service", 13, 2}, {"ifname", 41, 16}};

const Type& type_named(std::string_view name) {
    return *std::ranges::find(types, name, &Type::name);
}

/// A concatenation has six bits for each of its types.
std::uint32_t combined_type(const std::vector<std::string_view>& names) {
    std::uint32_t number = 0;
    for (const auto name : names) number = number << 6 | type_named(name).number;
    return number;
}

/// Alone a value has its own length, in a concatenation it is padded to four bytes.
std::uint32_t combined_length(const std::vector<std::string_view>& names) {
    if (names.size() == 1) return type_named(names.front()).length;
    std::uint32_t length = 0;
    for (const auto name : names) length += (type_named(name).length + 3) / 4 * 4;
    return length;
}

void put_data(sys::NetlinkRequest& out, std::uint16_t attribute, const Value& value,
              std::uint32_t length) {
    out.nest(attribute, [&] { out.put(NFTA_DATA_VALUE, value.bytes().data(), length); });
}

/// Tells nft(8) that a lone interface name is text from front to back: user data of type 0 (byte
/// order), 4 bytes, 1 for the host's order. The kernel does not look at it.
void put_host_order(sys::NetlinkRequest& out) {
    constexpr std::uint8_t data[] = {0, 4, 1, 0, 0, 0};
    out.put(NFTA_SET_USERDATA, data, sizeof data);
}

/// One message holds at most 64 KiB of attributes.
constexpr std::size_t elements_per_message = 256;

}  // namespace

Transaction::Transaction(std::string table) : table_(std::move(table)) {
    request_.begin(NFNL_MSG_BATCH_BEGIN, 0, fmt::format("change nft table {}", table_));
    request_.header(family_header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void Transaction::begin(std::uint16_t message, std::uint16_t flags, std::string what) {
    request_.begin(message_type(message), flags, std::move(what));
    request_.header(family_header(NFPROTO_IPV4));
}

void Transaction::add_table() {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, fmt::format("add nft table {}", table_));
    request_.put_text(NFTA_TABLE_NAME, table_);
}

void Transaction::delete_table() {
    begin(NFT_MSG_DELTABLE, 0, fmt::format("delete nft table {}", table_));
    request_.put_text(NFTA_TABLE_NAME, table_);
}

void Transaction::add_set(const Set& set) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE, fmt::format("add nft set {}", set.name));
    request_.put_text(NFTA_SET_TABLE, table_);
    request_.put_text(NFTA_SET_NAME, set.name);
    request_.put_be32(NFTA_SET_FLAGS, set.is_map() ? NFT_SET_MAP : 0);
    request_.put_be32(NFTA_SET_KEY_TYPE, combined_type(set.key_types));
    request_.put_be32(NFTA_SET_KEY_LEN, combined_length(set.key_types));
    request_.put_be32(NFTA_SET_ID, next_set_id_++);
    if (set.key_types == std::vector<std::string_view>{"ifname"}) put_host_order(request_);
    if (!set.is_map()) return;
    request_.put_be32(NFTA_SET_DATA_TYPE, combined_type(set.data_types));
    request_.put_be32(NFTA_SET_DATA_LEN, combined_length(set.data_types));
}

void Transaction::add_chain(const Chain& chain) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, fmt::format("add nft chain {}", chain.name));
    request_.put_text(NFTA_CHAIN_TABLE, table_);
    request_.put_text(NFTA_CHAIN_NAME, chain.name);
    request_.nest(NFTA_CHAIN_HOOK, [&] {
        request_.put_be32(NFTA_HOOK_HOOKNUM, static_cast<std::uint32_t>(chain.hook));
        request_.put_be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
    });
    request_.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
    request_.put_text(NFTA_CHAIN_TYPE, chain.type);
    for (const Rule& rule : chain.rules) {
        begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
              fmt::format("add nft rule \"{}\"", rule.text()));
        request_.put_text(NFTA_RULE_TABLE, table_);
        request_.put_text(NFTA_RULE_CHAIN, chain.name);
        rule.encode(request_);
    }
}

namespace {

void put_element(sys::NetlinkRequest& out, const Set& set, const Element& element) {
    out.nest(NFTA_LIST_ELEM, [&] {
        put_data(out, NFTA_SET_ELEM_KEY, element.key, combined_length(set.key_types));
        if (set.is_map())
            put_data(out, NFTA_SET_ELEM_DATA, element.data, combined_length(set.data_types));
        if (element.comment.empty()) return;
        // Type 0 of an element's user data is its comment, as in a rule's.
        std::string data{'\0', static_cast<char>(element.comment.size() + 1)};
        data += element.comment;
        data += '\0';
        out.put(NFTA_SET_ELEM_USERDATA, data.data(), data.size());
    });
}

}  // namespace

void Transaction::change_elements(const Change& change, const Set& set,
                                  std::span<const Element> elements) {
    for (std::size_t at = 0; at < elements.size(); at += elements_per_message) {
        begin(change.message, change.flags, fmt::format("{} nft set {}", change.words, set.name));
        request_.put_text(NFTA_SET_ELEM_LIST_TABLE, table_);
        request_.put_text(NFTA_SET_ELEM_LIST_SET, set.name);
        const auto count = std::min(elements.size() - at, elements_per_message);
        request_.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
            for (const auto& element : elements.subspan(at, count))
                put_element(request_, set, element);
        });
    }
}

void Transaction::add_elements(const Set& set, std::span<const Element> elements) {
    change_elements({NFT_MSG_NEWSETELEM, NLM_F_CREATE, "add to"}, set, elements);
}

void Transaction::delete_elements(const Set& set, std::span<const Element> elements) {
    change_elements({NFT_MSG_DELSETELEM, 0, "delete from"}, set, elements);
}

Result<void> Transaction::commit(sys::NetlinkSocket& socket) && {
    // Answers come in order, and only after all was done: the last one's is enough.
    request_.acknowledge();
    request_.begin(NFNL_MSG_BATCH_END, 0);
    request_.header(family_header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
    return socket.execute(std::move(request_));
}

Result<bool> table_exists(sys::NetlinkSocket& socket, const std::string& table) {
    sys::NetlinkRequest request;
    request.begin(message_type(NFT_MSG_GETTABLE), NLM_F_ACK, fmt::format("look up {}", table));
    request.header(family_header(NFPROTO_IPV4));
    request.put_text(NFTA_TABLE_NAME, table);
    auto asked = socket.dump(request, [](const sys::NetlinkMessage&) {});
    if (asked) return true;
    if (asked.error().number() == ENOENT) return false;
    return std::move(asked).error();
}

Result<std::vector<std::vector<std::byte>>> elements_of(sys::NetlinkSocket& socket,
                                                        const std::string& table,
                                                        const std::string& set) {
    sys::NetlinkRequest request;
    request.begin(message_type(NFT_MSG_GETSETELEM), NLM_F_DUMP, fmt::format("list {}", set));
    request.header(family_header(NFPROTO_IPV4));
    request.put_text(NFTA_SET_ELEM_LIST_TABLE, table);
    request.put_text(NFTA_SET_ELEM_LIST_SET, set);
    std::vector<std::vector<std::byte>> keys;
    auto asked = socket.dump(request, [&](const sys::NetlinkMessage& message) {
        message.attributes<nfgenmsg>()
            .nested(NFTA_SET_ELEM_LIST_ELEMENTS)
            .each([&](std::uint16_t, sys::Bytes element) {
                const auto key = sys::NetlinkAttributes(element).nested(NFTA_SET_ELEM_KEY);
                if (const auto value = key.find(NFTA_DATA_VALUE))
                    keys.emplace_back(value->begin(), value->end());
            });
    });
    if (!asked && asked.error().number() != ENOENT) return std::move(asked).error();
    return keys;
}

}  // namespace corten::network::nft
