#pragma once
// A container's place on its networks, from its NetworkMode to addresses, ports and /etc files.
#include "context.hpp"

namespace corten::engine {

struct JoinedNetworks {
    Fd network_namespace;  ///< invalid with --network host
    std::vector<network::Endpoint> endpoints;
};

/// Plugs the container in, opens its name server and publishes its ports; undone by
/// leave_networks().
Result<JoinedNetworks> enter_networks(Context& context, const ContainerSpec& spec);
void leave_networks(Context& context, const std::vector<network::Endpoint>& endpoints);

/// What a container asks of its place on `network`: invalid, or not_built with the option's name.
Result<void> check_endpoint(const std::string& network, const apitypes::EndpointSettings& wanted);
/// The default bridge has none, as in docker.
bool has_name_server(const network::Endpoint& endpoint);

/// invalid when it links to a container that is not there.
Result<network::EndpointRequest> endpoint_request(const Context& context, const ContainerSpec& spec,
                                                  const std::string& network,
                                                  std::string interface);
/// The links of an endpoint, "CONTAINER" or "CONTAINER:ALIAS"; `settings` may be null.
Result<std::vector<network::PrivateName>> links_of(const Context& context,
                                                   const apitypes::EndpointSettings* settings);
/// What the others of a user-defined network find the container by; its name first. `settings` may
/// be null.
std::vector<std::string> dns_names(const ContainerSpec& spec,
                                   const apitypes::EndpointSettings* settings);
/// On the first endpoint, unless they are published already.
Result<void> publish_ports(Context& context, const ContainerSpec& spec,
                           std::vector<network::Endpoint>& endpoints);
/// Does nothing for a container without a user-defined network.
Result<void> serve_names(Context& context, const ContainerSpec& spec,
                         const std::vector<network::Endpoint>& endpoints, FdView network_namespace);

/// Tells that a container has joined ("connect") or left ("disconnect") all networks of its own.
void publish_network_events(Context& context, const std::string& action, const ContainerSpec& spec,
                            const std::vector<network::Endpoint>& endpoints);

/// After a rename the container is found by its new name.
Result<void> rename_endpoints(Context& context, Container& container);

/// The ports to publish: -p, and with -P every exposed one without a binding.
Result<std::vector<network::PortRequest>> port_requests(const ContainerSpec& spec);

}  // namespace corten::engine
