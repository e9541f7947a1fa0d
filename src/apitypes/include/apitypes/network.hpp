#pragma once
// Networks. Source: Docker Engine API 1.51, recorded replies of 28.5.
#include <apitypes/endpoint.hpp>

namespace corten::apitypes {

struct IpamPool {
    std::string subnet;
    std::string ip_range;
    std::string gateway;
    StringMap aux_addresses;

    static constexpr void fields(auto visit) {
        using C = IpamPool;
        visit(omit_empty("Subnet", &C::subnet), omit_empty("IPRange", &C::ip_range),
              omit_empty("Gateway", &C::gateway),
              omit_empty("AuxiliaryAddresses", &C::aux_addresses));
    }
};

struct Ipam {
    std::string driver = "default";
    OptionalStringMap options;
    std::optional<std::vector<IpamPool>> config;

    static constexpr void fields(auto visit) {
        visit(field("Driver", &Ipam::driver), field("Options", &Ipam::options),
              field("Config", &Ipam::config));
    }
};

struct ConfigReference {
    std::string network;
    static constexpr void fields(auto visit) { visit(field("Network", &ConfigReference::network)); }
};

/// Body of POST /networks/create.
struct NetworkCreateRequest {
    std::string driver;  ///< empty: bridge
    std::string scope;
    std::optional<bool> enable_ipv4;
    std::optional<bool> enable_ipv6;
    std::optional<Ipam> ipam;
    bool internal = false;
    bool attachable = false;
    bool ingress = false;
    bool config_only = false;
    std::optional<ConfigReference> config_from;
    OptionalStringMap options;
    OptionalStringMap labels;
    std::string name;
    std::optional<bool> check_duplicate;  ///< sent by older clients; always checked

    static constexpr void fields(auto visit) {
        using C = NetworkCreateRequest;
        visit(field("Driver", &C::driver), field("Scope", &C::scope),
              omit_empty("EnableIPv4", &C::enable_ipv4), omit_empty("EnableIPv6", &C::enable_ipv6),
              field("IPAM", &C::ipam), field("Internal", &C::internal),
              field("Attachable", &C::attachable), field("Ingress", &C::ingress),
              field("ConfigOnly", &C::config_only), field("ConfigFrom", &C::config_from),
              field("Options", &C::options), field("Labels", &C::labels), field("Name", &C::name),
              omit_empty("CheckDuplicate", &C::check_duplicate));
    }
};

struct NetworkCreateReply {
    std::string id;
    std::string warning;
    static constexpr void fields(auto visit) {
        visit(field("Id", &NetworkCreateReply::id), field("Warning", &NetworkCreateReply::warning));
    }
};

/// A container of an inspected network.
struct NetworkContainer {
    std::string name;
    std::string endpoint_id;
    std::string mac_address;
    std::string ipv4_address;  ///< with the prefix length, as the next
    std::string ipv6_address;

    static constexpr void fields(auto visit) {
        using C = NetworkContainer;
        visit(field("Name", &C::name), field("EndpointID", &C::endpoint_id),
              field("MacAddress", &C::mac_address), field("IPv4Address", &C::ipv4_address),
              field("IPv6Address", &C::ipv6_address));
    }
};

/// Reply of GET /networks/{id}, and an element of GET /networks (where Containers is {}).
struct NetworkInspect {
    std::string name;
    std::string id;
    std::string created;
    std::string scope = "local";
    std::string driver;
    bool enable_ipv4 = true;
    bool enable_ipv6 = false;
    Ipam ipam;
    bool internal = false;
    bool attachable = false;
    bool ingress = false;
    ConfigReference config_from;
    bool config_only = false;
    std::map<std::string, NetworkContainer> containers;  ///< by container id
    OptionalStringMap options;
    OptionalStringMap labels;

    static constexpr void fields(auto visit) {
        using C = NetworkInspect;
        visit(field("Name", &C::name), field("Id", &C::id), field("Created", &C::created),
              field("Scope", &C::scope), field("Driver", &C::driver),
              field("EnableIPv4", &C::enable_ipv4), field("EnableIPv6", &C::enable_ipv6),
              field("IPAM", &C::ipam), field("Internal", &C::internal),
              field("Attachable", &C::attachable), field("Ingress", &C::ingress),
              field("ConfigFrom", &C::config_from), field("ConfigOnly", &C::config_only),
              field("Containers", &C::containers), field("Options", &C::options),
              field("Labels", &C::labels));
    }
};

struct NetworkConnectRequest {
    std::string container;
    std::optional<EndpointSettings> endpoint_config;
    static constexpr void fields(auto visit) {
        visit(field("Container", &NetworkConnectRequest::container),
              field("EndpointConfig", &NetworkConnectRequest::endpoint_config));
    }
};

struct NetworkDisconnectRequest {
    std::string container;
    bool force = false;
    static constexpr void fields(auto visit) {
        visit(field("Container", &NetworkDisconnectRequest::container),
              field("Force", &NetworkDisconnectRequest::force));
    }
};

struct NetworksPruned {
    StringList networks_deleted;
    static constexpr void fields(auto visit) {
        visit(field("NetworksDeleted", &NetworksPruned::networks_deleted));
    }
};

}  // namespace corten::apitypes
