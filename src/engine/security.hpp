#pragma once
// The sandbox's policy: capabilities, seccomp, masked and read-only paths. It comes from the user's
// HostConfig and from here, and from nothing an image says. Pure.
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
};
/// --security-opt. Errors: invalid for what is unknown, unsupported for labels of modules that this
/// host does not have.
Result<SecurityOptions> parse_security_options(const apitypes::HostConfig& host);

const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

}  // namespace corten::engine
