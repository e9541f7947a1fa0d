#pragma once
// What a container takes from its image where the user said nothing. Only the fields named here can
// be set by an image: nothing in it reaches the sandbox's policy (HostConfig). Pure.
#include <apitypes/container_config.hpp>
#include <oci/image_spec.hpp>

#include <string>
#include <vector>

namespace corten::engine {

/// Fills `config` from the image.
void apply_image_defaults(apitypes::ContainerConfig& config, const oci::ImageConfig& image);

/// The reverse: what an image keeps of a container's configuration.
oci::ImageConfig image_config_of(const apitypes::ContainerConfig& config);

struct Command {
    std::string path;
    std::vector<std::string> args;
};
/// The program and its arguments from entrypoint and cmd; invalid when there is neither.
Result<Command> command_of(const apitypes::ContainerConfig& config);

}  // namespace corten::engine
