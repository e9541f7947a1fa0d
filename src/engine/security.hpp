#pragma once
// The sandbox's policy: capabilities, seccomp, masked and read-only paths. It comes from the user's
// HostConfig, from what the host can do, and from nothing an image says.
#include "host_facts.hpp"

#include <apitypes/container_config.hpp>

#include <string>
#include <vector>

namespace corten::engine {

/// docker's default set, 0xa80425fb.
const std::vector<std::string>& default_capabilities();

/// --cap-add and --cap-drop in docker's order; "ALL" stands for what this host's daemon has.
/// Errors: invalid, "invalid CapAdd: unknown capability: ...".
Result<std::vector<std::string>> capabilities_of(const apitypes::HostConfig& host,
                                                 const HostFacts& facts);

/// "net_admin" -> "CAP_NET_ADMIN", as the record keeps it.
void normalise_capabilities(apitypes::HostConfig& host);

struct SecurityOptions {
    bool no_new_privileges = false;
    bool seccomp_unconfined = false;
    std::string seccomp_profile;  ///< JSON; empty: the default profile
    std::string apparmor;         ///< a profile's name or "unconfined"; empty: the default
    std::string label;            ///< a part of SELinux's labels, "type:x"
};
/// --security-opt. Errors: invalid for what is unknown.
Result<SecurityOptions> parse_security_options(const apitypes::HostConfig& host);
/// Whether processes get a filter: privileged ones only with a profile that was asked for.
bool wants_seccomp(const SecurityOptions& options, bool privileged);
/// unsupported for what this host, or we, cannot do: docker takes such words and does not confine.
Result<void> check_security_modules(const SecurityOptions& options, const HostFacts& facts);

constexpr std::string_view default_apparmor_profile = "corten-default";
/// What a container and its execs run under; empty: what the daemon does.
std::string apparmor_profile(const SecurityOptions& options, bool privileged,
                             const HostFacts& facts);

const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

}  // namespace corten::engine
