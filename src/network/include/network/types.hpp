#pragma once
// The records of this library: what the engine stores, shows and gives back after a restart. They
// are plain values with JSON tables, so that a record written today can be read tomorrow.
#include <base/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace corten::network {

/// A network as the API knows it. The predefined ones are named bridge, host and none.
struct Network {
    std::string id;  ///< 64 hex digits
    std::string name;
    std::string driver;    ///< "bridge", "host" or "null"
    std::string subnet;    ///< "172.17.0.0/16"; empty for host and none
    std::string gateway;   ///< "172.17.0.1"; the bridge's own address
    std::string ip_range;  ///< where addresses are taken from; empty means the whole subnet
    std::string bridge;    ///< the interface, "docker0" or "br-<12 hex>"
    std::int64_t mtu = 1500;
    bool internal = false;        ///< nothing leaves or enters but between its own containers
    bool inter_container = true;  ///< containers on it may talk to each other
    bool masquerade = true;       ///< what leaves takes the host's address
    std::string created;          ///< RFC 3339
    bool attachable = false;
    std::map<std::string, std::string> options;
    std::map<std::string, std::string> labels;

    static constexpr void fields(auto visit) {
        visit(field("Id", &Network::id), field("Name", &Network::name),
              field("Driver", &Network::driver), field("Subnet", &Network::subnet),
              field("Gateway", &Network::gateway), field("IpRange", &Network::ip_range),
              field("Bridge", &Network::bridge), field("Mtu", &Network::mtu),
              field("Internal", &Network::internal),
              field("InterContainer", &Network::inter_container),
              field("Masquerade", &Network::masquerade), field("Created", &Network::created),
              field("Attachable", &Network::attachable), field("Options", &Network::options),
              field("Labels", &Network::labels));
    }
};

/// Networks that are there without being made. Only on others are containers found by their names.
inline bool is_predefined(std::string_view network) {
    return network == "bridge" || network == "host" || network == "none";
}

/// What `-p` asks for. host_port 0 stands for an ephemeral port; first..last for any of a range.
struct PortRequest {
    std::string protocol = "tcp";  ///< "tcp", "udp" or "sctp"
    std::uint16_t container_port = 0;
    std::string host_ip;  ///< "" and "0.0.0.0": every address of the host
    std::uint16_t host_port_first = 0;
    std::uint16_t host_port_last = 0;  ///< 0: the same as first
};

/// A port that is published: the host's side is held and translated to the container's.
struct PublishedPort {
    std::string protocol = "tcp";
    std::string host_ip = "0.0.0.0";
    std::uint16_t host_port = 0;
    std::uint16_t container_port = 0;

    bool operator==(const PublishedPort&) const = default;
    static constexpr void fields(auto visit) {
        visit(field("Protocol", &PublishedPort::protocol), field("HostIp", &PublishedPort::host_ip),
              field("HostPort", &PublishedPort::host_port),
              field("ContainerPort", &PublishedPort::container_port));
    }
};

/// A name that only one container knows for another (--link).
struct PrivateName {
    std::string alias;
    std::string container_id;

    static constexpr void fields(auto visit) {
        visit(field("Alias", &PrivateName::alias),
              field("ContainerId", &PrivateName::container_id));
    }
};

/// One container's place on one network.
struct Endpoint {
    std::string id;  ///< 64 hex digits
    std::string network_id;
    std::string network_name;
    std::string container_id;
    std::string bridge;          ///< the bridge its host side hangs on
    std::string host_interface;  ///< "veth" and 7 hex digits
    std::string interface;       ///< inside: "eth0"
    std::string ip;              ///< "172.17.0.2"
    unsigned prefix = 0;
    std::string gateway;  ///< empty on internal networks
    std::string mac;
    std::vector<PublishedPort> ports;
    std::vector<std::string> names;  ///< what others on the network find it by
    std::vector<PrivateName> links;  ///< names of others for it alone

    static constexpr void fields(auto visit) {
        visit(field("Id", &Endpoint::id), field("NetworkId", &Endpoint::network_id),
              field("NetworkName", &Endpoint::network_name),
              field("ContainerId", &Endpoint::container_id), field("Bridge", &Endpoint::bridge),
              field("HostInterface", &Endpoint::host_interface),
              field("Interface", &Endpoint::interface), field("Ip", &Endpoint::ip),
              field("Prefix", &Endpoint::prefix), field("Gateway", &Endpoint::gateway),
              field("Mac", &Endpoint::mac), field("Ports", &Endpoint::ports),
              field("Names", &Endpoint::names), field("Links", &Endpoint::links));
    }
};

}  // namespace corten::network
