#pragma once
// nf_tables over netlink: one transaction that makes a table, its chains, sets, rules and elements.
// A Rule is written once and gives both the kernel's expressions and nft's text, so that what is
// explained is what was loaded. Format: linux/netfilter/nf_tables.h; the meaning of the text is
// nft(8)'s. Own encoding instead of libnftables: publishing a port is one message of 100 bytes, and
// the daemon stays small.
#include <network/address.hpp>
#include <sys/netlink.hpp>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten::network::nft {

/// The value of a set's key or a map's data: fields one after the other, each padded to 4 bytes.
class Value {
public:
    Value& interface(std::string_view name);  ///< 16 bytes, zero padded
    Value& protocol(std::uint8_t number);
    Value& address(Ipv4 address);
    Value& port(std::uint16_t port);

    const std::vector<std::byte>& bytes() const { return bytes_; }
    std::string text() const { return text_; }
    bool operator==(const Value& other) const { return bytes_ == other.bytes_; }

private:
    Value& append(const void* data, std::size_t size, std::string_view text);
    std::vector<std::byte> bytes_;
    std::string text_;
};

std::string_view protocol_name(std::uint8_t number);

/// A set, or a map when data_types is not empty. Types are nft's: "ifname", "inet_proto",
/// "ipv4_addr", "inet_service".
struct Set {
    std::string name;
    std::vector<std::string_view> key_types;
    std::vector<std::string_view> data_types;

    bool is_map() const { return !data_types.empty(); }
};

struct Element {
    Value key;
    Value data;  ///< of a map
    std::string comment;
};

enum class Match { equal, not_equal };

class Rule {
public:
    Rule& iifname(std::string_view name, Match match = Match::equal);
    Rule& oifname(std::string_view name, Match match = Match::equal);
    Rule& iifname_in(std::string_view set);
    Rule& oifname_in(std::string_view set);
    /// Looks up both interfaces as one key: "iifname . oifname @set".
    Rule& interfaces_in(std::string_view set);
    Rule& source(const Subnet& subnet);
    Rule& destination(const Subnet& subnet);
    Rule& destination_is_local();
    Rule& established();
    Rule& translated();  ///< ct status dnat
    Rule& comment(std::string_view text);

    Rule& accept();
    Rule& drop();
    Rule& masquerade();
    /// To what the map holds for protocol and port, or for protocol, address and port.
    Rule& dnat_by_port(std::string_view map);
    Rule& dnat_by_address_and_port(std::string_view map);

    std::string text() const;
    void encode(sys::NetlinkRequest& request) const;

private:
    using Expression = std::function<void(sys::NetlinkRequest&)>;
    Rule& add(std::string_view name, Expression attributes);
    Rule& say(std::string_view words);
    Rule& load_interface(std::uint32_t key, std::uint32_t reg);
    Rule& compare_interface(std::uint32_t key, std::string_view name, Match match);
    Rule& match_subnet(std::uint32_t offset, const Subnet& subnet);
    Rule& match_bits(std::uint32_t key, std::uint32_t bits);
    Rule& look_up(std::string_view set);
    Rule& dnat(std::string_view map);
    Rule& verdict(std::uint32_t code);

    std::vector<std::pair<std::string, Expression>> expressions_;
    std::string text_;
    std::string comment_;
};

enum class Hook : std::uint32_t {
    prerouting = 0,
    input = 1,
    forward = 2,
    output = 3,
    postrouting = 4
};

struct Chain {
    std::string name;
    std::string_view type;  ///< "filter" or "nat"
    Hook hook;
    std::int32_t priority = 0;
    std::vector<Rule> rules;
};

/// Everything between begin and commit happens at once or not at all. Family ip only.
class Transaction {
public:
    explicit Transaction(std::string table);

    void add_table();
    /// The table must exist: add it before, which does nothing when it does.
    void delete_table();
    void add_set(const Set& set);
    void add_chain(const Chain& chain);  ///< with its rules
    void add_elements(const Set& set, std::span<const Element> elements);
    void delete_elements(const Set& set, std::span<const Element> elements);

    Result<void> commit(sys::NetlinkSocket& socket) &&;

private:
    void begin(std::uint16_t message, std::uint16_t flags, std::string what);
    struct Change {
        std::uint16_t message;
        std::uint16_t flags;
        std::string_view words;
    };
    /// In as many messages as it takes.
    void change_elements(const Change& change, const Set& set, std::span<const Element> elements);

    std::string table_;
    sys::NetlinkRequest request_;
    std::uint32_t next_set_id_ = 1;
};

/// True when the kernel has a table of that name in family ip.
Result<bool> table_exists(sys::NetlinkSocket& socket, const std::string& table);
/// The keys of a set in the kernel, raw; empty when there is no such table or set.
Result<std::vector<std::vector<std::byte>>> elements_of(sys::NetlinkSocket& socket,
                                                        const std::string& table,
                                                        const std::string& set);

}  // namespace corten::network::nft
