#pragma once
// A container's place on its networks, from its NetworkMode to addresses, ports and /etc files.
#include "context.hpp"

namespace corten::engine {

struct JoinedNetworks {
    Fd network_namespace;  ///< invalid with --network host
    std::vector<network::Endpoint> endpoints;
};

/// Plugs the container in and publishes its ports; undone by leave_networks().
Result<JoinedNetworks> enter_networks(Context& context, const ContainerSpec& spec);
void leave_networks(Context& context, const ContainerSpec& spec,
                    const std::vector<network::Endpoint>& endpoints);

/// hostname, hosts and resolv.conf in the container's directory.
Result<void> write_network_files(Context& context, const ContainerSpec& spec,
                                 const std::vector<network::Endpoint>& endpoints);

/// The ports to publish: -p, and with -P every exposed one without a binding.
Result<std::vector<network::PortRequest>> port_requests(const ContainerSpec& spec);

}  // namespace corten::engine
