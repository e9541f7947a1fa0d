#pragma once
// Resource limits: checks what the user asked for and turns it into the runtime specification's
// terms. Reads only /dev entries that the user named.
#include "host_facts.hpp"

#include <apitypes/container_config.hpp>
#include <engine/config.hpp>
#include <oci/runtime_spec.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::engine {

/// Fills defaults (swap is twice the memory, -1 becomes null) and refuses contradictions, with
/// docker's texts and kind invalid.
Result<void> check_limits(apitypes::HostConfig& host, const HostFacts& facts);

/// Bytes that a container's own files may take, from --storage-opt size=; 0 is no limit.
Result<std::uint64_t> storage_limit(const apitypes::HostConfig& host);

/// Cgroup limits without device rules.
Result<oci::LinuxResources> linux_resources(const apitypes::Resources& limits);

/// The user's limits of the process, and the daemon's defaults where there is none. Defaults,
/// unlike what was asked for, are lowered to what this daemon may set.
std::vector<apitypes::Ulimit> with_default_ulimits(
    const apitypes::Resources& asked, const std::map<std::string, Config::Ulimit>& defaults,
    const HostFacts& facts);

/// The score of the container's first process. nullopt: it stays with the daemon's, which nobody
/// here may lower to the default.
std::optional<int> oom_score(const apitypes::HostConfig& host, const HostFacts& facts);

/// Resource limits of the process; soft above hard is invalid.
Result<std::vector<oci::PosixRlimit>> posix_rlimits(const std::vector<apitypes::Ulimit>& ulimits);

struct DevicePlan {
    std::vector<oci::LinuxDevice> nodes;
    std::vector<oci::DeviceRule> rules;
};
/// The default rules, --device and --device-cgroup-rule; all host devices for --privileged.
Result<DevicePlan> plan_devices(const apitypes::HostConfig& host);

}  // namespace corten::engine
