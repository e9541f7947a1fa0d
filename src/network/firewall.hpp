#pragma once
// The daemon's one nft table: translation of published ports, masquerading, and what may be
// forwarded from and to our bridges. Other tables are never touched, and cannot be overruled: a
// packet that another table drops stays dropped (a FORWARD policy of drop, for one).
//
// Rules depend on the networks and change as one replacement of the whole table; publishing a port
// only adds an element to a map.
#include "nft.hpp"

#include <network/types.hpp>

#include <span>

namespace corten::network {

/// A network, as far as rules depend on it.
struct FilteredNetwork {
    std::string bridge;
    Subnet subnet;
    bool internal = false;
    bool inter_container = true;
    bool masquerade = true;
};

struct Mapping {
    std::uint8_t protocol = 0;  ///< IPPROTO_TCP, ...
    Ipv4 host_ip;               ///< 0.0.0.0: every address of the host
    std::uint16_t host_port = 0;
    Ipv4 container_ip;
    std::uint16_t container_port = 0;
    std::string owner;  ///< shown as the element's comment
};

/// Pure: the table's chains and sets for these networks. `guarded` are interfaces between which the
/// host did not forward before we switched forwarding on, and still shall not.
struct Ruleset {
    std::vector<std::pair<nft::Set, std::vector<nft::Element>>> sets;
    std::vector<nft::Chain> chains;
};
Ruleset make_ruleset(const std::vector<FilteredNetwork>& networks,
                     const std::vector<std::string>& guarded, const std::vector<Mapping>& mappings);
/// What nft(8) would show, about: for tests and for explain.
std::vector<std::string> ruleset_text(const Ruleset& ruleset);
/// The rules and elements that concern one container's address.
std::vector<std::string> rules_about(const Ruleset& ruleset, std::string_view bridge, Ipv4 address);

class Firewall {
public:
    /// "corten_" and the bridge's name; characters that nft's syntax does not have become '_'.
    static std::string table_for(std::string_view bridge);

    static Result<Firewall> open(std::string table);

    /// The whole table in one transaction; rules of a former daemon are replaced.
    Result<void> replace(const Ruleset& ruleset);
    Result<void> add(std::span<const Mapping> mappings);
    /// Mappings that are not there any more are fine.
    Result<void> remove(std::span<const Mapping> mappings);
    /// Fine when there is none.
    Result<void> remove_table();

    /// The interfaces that a former daemon's table guards.
    Result<std::vector<std::string>> guarded();
    const std::string& table() const { return table_; }

private:
    Firewall(std::string table, sys::NetlinkSocket socket)
        : table_(std::move(table)), socket_(std::move(socket)) {}

    std::string table_;
    sys::NetlinkSocket socket_;
};

}  // namespace corten::network
