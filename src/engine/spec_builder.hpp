#pragma once
// From what a container was asked to be to the runtime specification's config.json: exactly
// docker's default container, changed where the user asked for it. Pure but for device lookups.
#include "container_record.hpp"
#include "host_facts.hpp"
#include "users.hpp"

#include <oci/runtime_spec.hpp>

#include <string>
#include <vector>

namespace corten::engine {

/// A planned mount whose source is known.
struct ResolvedMount {
    PlannedMount plan;
    std::string source;  ///< host path; empty for tmpfs
    Fd object;           ///< what is there, where the path may lead elsewhere by now
};

struct SpecInputs {
    const ContainerSpec& container;
    const HostFacts& facts;
    ResolvedUser user;
    const std::vector<ResolvedMount>& mounts;
    std::string files;         ///< directory with hostname, hosts and resolv.conf
    std::string cgroup_path;   ///< "/corten/<id>"
    std::string shm_source;    ///< host path to bind at /dev/shm; empty for a tmpfs of its own
    std::string init_program;  ///< for --init
    std::vector<apitypes::Ulimit> ulimits;  ///< those that are the daemon's default included
};

Result<oci::Spec> build_spec(const SpecInputs& inputs);

/// The process part: also what an exec starts from.
struct ProcessInputs {
    const apitypes::ContainerConfig& config;
    const apitypes::HostConfig& host;
    const HostFacts& facts;
    const ResolvedUser& user;
    const std::vector<apitypes::Ulimit>& ulimits;
    std::vector<std::string> args;
    bool terminal = false;
    bool privileged = false;
};
Result<oci::Process> build_process(const ProcessInputs& inputs);

/// The variables every container gets, with the user's over them.
std::vector<std::string> container_environment(const apitypes::ContainerConfig& config,
                                               bool terminal);

bool is_container_mode(std::string_view mode);              ///< "container:X"
std::string_view container_of_mode(std::string_view mode);  ///< X

}  // namespace corten::engine
