#pragma once
// Checks credentials with a registry: what `docker login` asks the daemon for.
#include <base/fd.hpp>
#include <image/credentials.hpp>
#include <image/puller.hpp>

namespace corten::image {

struct LoginResult {
    std::string status = "Login Succeeded";
    std::string identity_token;  ///< when the registry's token server gave one
};

/// credentials.server_address names the registry ("localhost:5000", a URL, or empty for docker.io).
/// unauthorized when it refuses them. `options` gives the registry configuration and time-outs.
Result<LoginResult> login(const Credentials& credentials, const PullOptions& options,
                          FdView cancel);

/// "https://index.docker.io/v1/" and "" are docker.io; other URLs lose their scheme and path.
std::string registry_domain(std::string_view server_address);

}  // namespace corten::image
