#pragma once
// The files of a container that follow from its networks: hostname, hosts and resolv.conf.
#include "context.hpp"

namespace corten::engine {

/// The directory that has them: with --network container:X that of X, whose changes both then see.
Result<std::string> network_files_of(const Context& context, const ContainerSpec& spec);

/// In the container's directory, before it starts. A resolv.conf that somebody changed is kept.
Result<void> write_network_files(Context& context, const ContainerSpec& spec,
                                 const std::vector<network::Endpoint>& endpoints);

/// hosts and resolv.conf of a running container whose endpoints were `before` and are `after`.
Result<void> update_network_files(Context& context, const ContainerSpec& spec,
                                  const std::vector<network::Endpoint>& before,
                                  const std::vector<network::Endpoint>& after);

/// Who answers what no container's name does. Servers that the user chose are asked from inside,
/// where the user meant them; the host's from the host, where they may listen on its loopback
/// alone. Nothing leaves internal networks.
network::Upstreams upstreams_of(const Context& context, const ContainerSpec& spec,
                                const std::vector<network::Endpoint>& endpoints);

}  // namespace corten::engine
