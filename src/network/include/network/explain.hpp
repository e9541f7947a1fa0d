#pragma once
// What one endpoint put on the host and in its namespace, for `corten explain`.
#include <base/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::network {

struct InterfaceReport {
    std::string name;
    std::int64_t index = 0;
    std::string mac;
    std::int64_t mtu = 0;
    bool up = false;
    std::string master;                  ///< the bridge it hangs on
    std::vector<std::string> addresses;  ///< "172.17.0.2/16"

    static constexpr void fields(auto visit) {
        visit(field("Name", &InterfaceReport::name), field("Index", &InterfaceReport::index),
              field("Mac", &InterfaceReport::mac), field("Mtu", &InterfaceReport::mtu),
              field("Up", &InterfaceReport::up), omit_empty("Master", &InterfaceReport::master),
              field("Addresses", &InterfaceReport::addresses));
    }
};

struct EndpointReport {
    InterfaceReport bridge;
    InterfaceReport host_interface;
    std::vector<InterfaceReport> interfaces;  ///< inside the container
    std::vector<std::string> routes;          ///< inside: "default via 172.17.0.1 dev eth0"
    std::string table;                        ///< the nft table that holds the rules
    bool table_loaded = false;                ///< false: another program removed it (reload())
    std::vector<std::string> rules;           ///< rules and map elements that concern the endpoint

    static constexpr void fields(auto visit) {
        visit(field("Bridge", &EndpointReport::bridge),
              field("HostInterface", &EndpointReport::host_interface),
              field("Interfaces", &EndpointReport::interfaces),
              field("Routes", &EndpointReport::routes), field("Table", &EndpointReport::table),
              field("TableLoaded", &EndpointReport::table_loaded),
              field("Rules", &EndpointReport::rules));
    }
};

}  // namespace corten::network
