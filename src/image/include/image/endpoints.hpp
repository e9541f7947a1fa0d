#pragma once
// Where the registry of an image is: its own address, its mirrors, which of them may be spoken to
// without TLS, and which may be used at all.
#include <base/result.hpp>
#include <image/reference.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

/// A place that is asked before the registry itself.
struct Mirror {
    std::string names;   ///< what it mirrors: a pattern as in RegistryConfig::allowed
    std::string scheme;  ///< "https" or "http"
    std::string host;
    std::string path;  ///< stands for what `names` matched: "hub" in HOST/hub/library/debian

    /// With a slash at its end, as docker shows it.
    std::string url() const {
        return scheme + "://" + host + "/" + (path.empty() ? "" : path + "/");
    }
};

/// `url`: [http[s]://]HOST[:PORT][/PATH]; https when it names no scheme.
Result<Mirror> parse_mirror(std::string_view names, std::string_view url);

struct RegistryConfig {
    std::vector<std::string> insecure;  ///< "host[:port]" as images name it, or a range
    std::vector<Mirror> mirrors;        ///< in the order in which they are asked
    /// Patterns of names: "docker.io", "registry.example:5000/team" with all that is below, and
    /// "*.example" for every host in that domain. When there are any, nothing else is used.
    std::vector<std::string> allowed{};
    std::vector<std::string> blocked{};  ///< patterns that are never used, allowed or not
    /// Searched for HOST[:PORT]/ca.crt, client.cert, client.key.
    std::vector<std::string> certificate_directories{"/etc/corten/certs.d", "/etc/docker/certs.d"};
    /// At most, for one large layer that comes slowly; 1: it is read from one connection.
    int connections_per_layer = 4;
};

struct Endpoint {
    std::string scheme;  ///< "https" or "http"
    std::string host;    ///< "registry-1.docker.io", "localhost:5000"
    std::string path;    ///< the repository's there: "library/debian"
    bool verify = true;  ///< whether the server's certificate must be good
    bool mirror = false;

    std::string base() const { return scheme + "://" + host; }
};

/// In the order in which they are to be tried. Loopback and insecure registries get HTTPS without
/// verification first and HTTP after it.
std::vector<Endpoint> endpoints_of(const Reference& repository, const RegistryConfig& config);

/// `forbidden` when the lists of allowed and blocked names keep the daemon from this repository or,
/// when the reference has no path, from all of its registry.
Result<void> check_allowed(const Reference& repository, const RegistryConfig& config);

/// Whether `domain` is loopback or matches the list. A host name is resolved only when the list
/// holds ranges, as docker does.
bool is_insecure(std::string_view domain, const std::vector<std::string>& insecure);

}  // namespace corten::image
