// The templates of base/json.hpp, instantiated once for the large types.
#include <apitypes/container_config.hpp>
#include <apitypes/key_case.hpp>

namespace corten::apitypes {

Json to_json(const ContainerConfig& config) {
    return corten::to_json(config);
}
Json to_json(const HostConfig& config) {
    return corten::to_json(config);
}
Json to_json(const NetworkingConfig& config) {
    return corten::to_json(config);
}
Json to_json(const CreateRequest& request) {
    return corten::to_json(request);
}

Result<ContainerConfig> container_config_from(const Json& json) {
    return from_json<ContainerConfig>(json);
}
Result<HostConfig> host_config_from(const Json& json) {
    return from_json<HostConfig>(json);
}
Result<NetworkingConfig> networking_config_from(const Json& json) {
    return from_json<NetworkingConfig>(json);
}
Result<CreateRequest> create_request_from(const Json& json) {
    Json request = json;
    match_keys<CreateRequest>(request);
    return from_json<CreateRequest>(request);
}
Result<UpdateRequest> update_request_from(const Json& json) {
    Json request = json;
    match_keys<UpdateRequest>(request);
    return from_json<UpdateRequest>(request);
}

}  // namespace corten::apitypes
