#pragma once
// Docker's profile format (github.com/moby/profiles, seccomp.json): the OCI section plus rules
// that depend on capabilities, architecture and kernel. Resolving gives the OCI section.
#include <base/result.hpp>
#include <oci/runtime_seccomp.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::seccomp {

struct ProfileContext {
    std::vector<std::string> capabilities;  ///< the container's bounding set, "CAP_SYS_ADMIN", ...
    std::string architecture;               ///< Go's name, "amd64"; empty: this machine's
    std::string kernel_release;             ///< "6.1.0-13-amd64"; empty: this machine's
};

/// The text of the default profile, built into the program.
std::string_view default_profile();

/// Resolves a profile in docker's format (`--security-opt seccomp=FILE`). Errors: invalid, naming
/// what does not fit ("seccomp profile: ...").
Result<oci::LinuxSeccomp> resolve(std::string_view profile_json, const ProfileContext& context);

}  // namespace corten::seccomp
