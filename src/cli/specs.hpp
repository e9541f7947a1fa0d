#pragma once
// The small languages of `run`'s flag values: ports, mounts, devices, limits, variables. Each takes
// what docker's command takes and words its errors alike; all errors are ErrorKind::invalid.
#include <apitypes/container_config.hpp>
#include <base/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::cli {

struct PublishedPorts {
    apitypes::NameSet exposed;
    apitypes::PortMap bindings;
};
/// -p: "8080:80", "127.0.0.1::80/udp", "8000-8002:80-82", "[::1]:1:1", or with "published=8080,
/// target=80,protocol=tcp".
Result<void> parse_publish(const std::string& spec, PublishedPorts& ports);
/// --expose: "80", "80-90/udp".
Result<void> parse_expose(const std::string& spec, apitypes::NameSet& exposed);

/// -v: a bind or named volume goes to `binds`, an anonymous volume to `volumes`. A source that
/// starts with '.' is made absolute.
Result<void> parse_volume(const std::string& spec, apitypes::Strings& binds,
                          apitypes::NameSet& volumes);
/// --mount: comma separated fields, quoted as in CSV.
Result<apitypes::Mount> parse_mount(const std::string& spec);

/// --device: "/dev/a:/dev/b:rw". A CDI name ("vendor.com/class=name") is not for here.
Result<apitypes::DeviceMapping> parse_device(const std::string& spec);
bool is_cdi_device(std::string_view spec);
Result<apitypes::DeviceRequest> parse_gpus(const std::string& spec);
Result<apitypes::Ulimit> parse_ulimit(const std::string& spec);
Result<apitypes::WeightDevice> parse_weight_device(const std::string& spec);
/// "/dev/sda:1mb"
Result<apitypes::ThrottleDevice> parse_throttle_bytes(const std::string& spec);
/// "/dev/sda:1000"
Result<apitypes::ThrottleDevice> parse_throttle_operations(const std::string& spec);
Result<apitypes::RestartPolicy> parse_restart_policy(const std::string& spec);
/// --cpus: billionths of a CPU.
Result<std::int64_t> parse_cpus(const std::string& spec);

/// -e and --env-file; files come first. A name without a value is looked up here.
Result<apitypes::Strings> parse_environment(const std::vector<std::string>& files,
                                            const std::vector<std::string>& values);
/// -l and --label-file.
Result<apitypes::StringMap> parse_labels(const std::vector<std::string>& files,
                                         const std::vector<std::string>& values);
/// "k=v" entries; a key without a value has an empty one.
apitypes::StringMap parse_pairs(const std::vector<std::string>& values);

struct SecurityOptions {
    apitypes::Strings options;
    bool all_system_paths = false;  ///< systempaths=unconfined
};
/// --security-opt; seccomp profiles are read from their file and sent whole.
Result<SecurityOptions> parse_security_options(const std::vector<std::string>& values);

/// --network: a name, or "name=net,alias=a,ip=1.2.3.4,...".
struct NetworkChoice {
    std::string name;
    apitypes::EndpointSettings endpoint;
};
Result<NetworkChoice> parse_network(const std::string& spec);
/// Not one of the modes that are no network: bridge, host, none, default, container:X.
bool is_user_network(std::string_view name);

/// Splits one line of CSV.
Result<std::vector<std::string>> split_csv(std::string_view line);

}  // namespace corten::cli
