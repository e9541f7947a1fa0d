#pragma once
// Parts that inspection and list share.
#include "context.hpp"

namespace corten::engine {

std::vector<apitypes::MountPoint> mount_points(const Context& context, const ContainerSpec& spec);
/// Every exposed port; null for one that is not published.
apitypes::PortMap port_map(const ContainerSpec& spec, const ContainerState& state);
/// The networks it is on, with addresses while it runs.
std::map<std::string, std::optional<apitypes::EndpointSettings>> endpoint_settings(
    const Context& context, const ContainerSpec& spec, const ContainerState& state);

/// Docker's names for the directories of an overlay.
apitypes::GraphDriver graph_driver(const Context& context, const storage::Places& places);

}  // namespace corten::engine
