#pragma once
// What stands behind Networks. `registry` knows networks, addresses and endpoints; `rules` has the
// ports and the nft table, and whoever changes them may look into the registry meanwhile, never the
// other way round. `administration` lets networks be made and removed one after the other.
#include "bridge.hpp"
#include "firewall.hpp"
#include "name_server.hpp"
#include "pool.hpp"
#include "ports.hpp"

#include <base/serial.hpp>
#include <base/sync.hpp>
#include <network/ipam.hpp>
#include <network/networks.hpp>

#include <map>
#include <mutex>
#include <optional>

namespace corten::network {

/// A bridge network at work.
struct ActiveNetwork {
    Network record;
    Bridge bridge;
    Ipam ipam;
};

/// What is known of a container's endpoint.
struct KnownEndpoint {
    std::string network_id;
    std::string container_id;
    std::string host_interface;
    Ipv4 ip;
    std::string interface;           ///< inside
    std::vector<std::string> names;  ///< lower case; the first is the container's
    std::vector<PrivateName> links;
};

/// A container's namespace, seen through the socket that was opened in it.
using Inside = std::shared_ptr<Serial<Rtnl>>;

struct Registry {
    std::vector<Network> passive;                    ///< host and none
    std::map<std::string, ActiveNetwork> active;     ///< by id
    std::map<std::string, KnownEndpoint> endpoints;  ///< by id
    std::map<std::string, Inside> containers;        ///< by container id
};

struct Rules {
    Firewall firewall;
    PortTable ports;
    std::map<std::string, std::vector<Mapping>> mappings;  ///< by endpoint id
    std::vector<std::string> guarded;

    std::vector<Mapping> all_mappings() const;
};

struct Networks::State {
    State(Options given, Rules initial)
        : options(std::move(given)),
          rules(std::move(initial)),
          bridge_pool([this] { return make_plugged(default_id, {}, {}); }),
          loopback_pool([this] { return make_loopback(); }),
          name_server([this](const std::string& asker, const DnsQuestion& question) {
              return look_up(asker, question);
          }) {}

    Options options;
    std::string default_id;  ///< of the network "bridge"
    bool hairpin = false;
    Sync<Registry> registry;
    Serial<Rules> rules;
    std::mutex administration;
    // Declared after what their threads use, so that they end first.
    Reaper reaper;
    Pool bridge_pool;
    Pool loopback_pool;
    NameServer name_server;

    /// Makes the bridge interface and takes the network in; no rules yet.
    Result<void> add_network(Network record);
    /// forbidden while an address on it is in use: by an endpoint, or one that is being made.
    Result<void> drop_network(const Network& network);
    std::vector<FilteredNetwork> filtered() const;
    /// Puts the table into the kernel as it has to be now.
    Result<void> reload_rules();

    /// An address on the network: the given one, or the lowest free one when it is 0.0.0.0.
    Result<Plug> reserve(const std::string& network_id, Ipv4 wanted);
    void give_back(const std::string& network_id, Ipv4 ip);
    /// Address 0.0.0.0 and no MAC stand for "choose".
    Result<Pool::Item> make_plugged(const std::string& network_id, Ipv4 ip,
                                    const std::optional<MacAddress>& mac);
    Result<Pool::Item> make_loopback();
    Result<Sandbox> acquire_loopback();

    /// The record of a new endpoint, which is known from now on.
    Endpoint register_endpoint(const Network& network, const EndpointRequest& request,
                               const Plug& plug, const std::string& host_interface);
    /// Takes the endpoint out; its address is given back when its interface is gone.
    std::optional<Remains> forget(const Endpoint& endpoint);
    /// In the background, before or after the ports are translated anew.
    void forget_flows(std::vector<Mapping> mappings);
    void keep_inside(const std::string& container_id, Rtnl inside);
    Inside inside_of(std::string_view container_id) const;
    bool has_default_route(const std::string& container_id) const;

    /// Leads the default route through a network that the container still has.
    void reroute(const std::string& container_id);

    /// What a container may know of the names and addresses on its networks.
    NameAnswer look_up(const std::string& asker, const DnsQuestion& question) const;
};

/// Names are compared without regard to case.
std::vector<std::string> in_lower_case(const std::vector<std::string>& names);

/// What publishing these ports means in the table.
Result<std::vector<Mapping>> mappings_of(const Endpoint& endpoint,
                                         std::span<const PublishedPort> ports);

}  // namespace corten::network
