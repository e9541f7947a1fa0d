#pragma once
// A container's place on one network. Source: Docker Engine API 1.51, EndpointSettings.
#include <apitypes/common.hpp>

namespace corten::apitypes {

/// The addresses a user asked for.
struct EndpointIpamConfig {
    std::string ipv4_address;
    std::string ipv6_address;
    Strings link_local_ips;

    static constexpr void fields(auto visit) {
        using C = EndpointIpamConfig;
        visit(omit_empty("IPv4Address", &C::ipv4_address),
              omit_empty("IPv6Address", &C::ipv6_address),
              omit_empty("LinkLocalIPs", &C::link_local_ips));
    }
};

struct EndpointSettings {
    std::optional<EndpointIpamConfig> ipam_config;
    StringList links;
    StringList aliases;
    std::string mac_address;
    OptionalStringMap driver_opts;
    int gw_priority = 0;
    std::string network_id;
    std::string endpoint_id;
    std::string gateway;
    std::string ip_address;
    int ip_prefix_len = 0;
    std::string ipv6_gateway;
    std::string global_ipv6_address;
    int global_ipv6_prefix_len = 0;
    StringList dns_names;

    static constexpr void fields(auto visit) {
        using C = EndpointSettings;
        visit(field("IPAMConfig", &C::ipam_config), field("Links", &C::links),
              field("Aliases", &C::aliases), field("MacAddress", &C::mac_address),
              field("DriverOpts", &C::driver_opts), field("GwPriority", &C::gw_priority),
              field("NetworkID", &C::network_id), field("EndpointID", &C::endpoint_id),
              field("Gateway", &C::gateway), field("IPAddress", &C::ip_address),
              field("IPPrefixLen", &C::ip_prefix_len), field("IPv6Gateway", &C::ipv6_gateway),
              field("GlobalIPv6Address", &C::global_ipv6_address),
              field("GlobalIPv6PrefixLen", &C::global_ipv6_prefix_len),
              field("DNSNames", &C::dns_names));
    }
};

struct NetworkingConfig {
    /// By network name or id; "default" is written by clients for "bridge". A value may be null.
    std::map<std::string, std::optional<EndpointSettings>> endpoints;

    static constexpr void fields(auto visit) {
        visit(field("EndpointsConfig", &NetworkingConfig::endpoints));
    }
};

}  // namespace corten::apitypes
