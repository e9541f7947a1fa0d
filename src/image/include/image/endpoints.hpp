#pragma once
// Where the registry of a domain is: its own address, its mirrors, and which of them may be spoken
// to without TLS.
#include <base/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

struct RegistryConfig {
    std::vector<std::string> insecure;  ///< "host", "host:port" or a CIDR range
    std::vector<std::string> mirrors;   ///< base URLs, asked before docker.io, in order
    /// Searched for HOST[:PORT]/ca.crt, client.cert, client.key.
    std::vector<std::string> certificate_directories{"/etc/corten/certs.d", "/etc/docker/certs.d"};
};

struct Endpoint {
    std::string scheme;  ///< "https" or "http"
    std::string host;    ///< "registry-1.docker.io", "localhost:5000"
    std::string prefix;  ///< path in front of /v2/, for mirrors; no slash at its end
    bool verify = true;  ///< whether the server's certificate must be good
    bool mirror = false;

    std::string base() const { return scheme + "://" + host + prefix; }
};

/// In the order in which they are to be tried. Loopback and insecure registries get HTTPS without
/// verification first and HTTP after it.
std::vector<Endpoint> endpoints_of(std::string_view domain, const RegistryConfig& config);

/// Whether `domain` is loopback or matches the list. A host name is resolved only when the list
/// holds ranges, as docker does.
bool is_insecure(std::string_view domain, const std::vector<std::string>& insecure);

}  // namespace corten::image
