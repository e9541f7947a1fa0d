// From -H and the environment to an endpoint.
#include "client.hpp"

#include <base/text.hpp>
#if CORTEN_CLI_TLS
#include <http/tls.hpp>
#endif

#include <cstdlib>

namespace corten::cli {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::string version_prefix() {
    std::string version = environment("CORTEN_API_VERSION");
    if (version.empty()) version = environment("DOCKER_API_VERSION");
    return version.empty() ? "" : "/v" + version;
}

Result<std::shared_ptr<const http::TlsConnector>> connector(const HostOptions& options) {
#if CORTEN_CLI_TLS
    return http::make_tls_connector({
        .ca_files =
            options.ca_file.empty() ? std::vector<std::string>{} : std::vector{options.ca_file},
        .trust_system = options.ca_file.empty(),
        .certificate_file = options.certificate_file,
        .key_file = options.key_file,
        .insecure = !options.tls_verify,
    });
#else
    return fail(ErrorKind::unsupported, "{}: this build speaks no TLS", options.address);
#endif
}

Result<http::Endpoint> tcp_endpoint(std::string_view rest, const HostOptions& options) {
    const http::Url url = TRY(http::parse_url(fmt::format("http://{}", rest)));
    const bool tls = options.tls || options.tls_verify;
    http::Endpoint endpoint{.kind = http::Endpoint::tcp, .host = url.host, .port = url.port};
    const bool port_given = rest.find(":" + url.port) != rest.npos;
    if (!port_given) endpoint.port = tls ? "2376" : "2375";
    if (tls) endpoint.tls = TRY(connector(options));
    return endpoint;
}

http::Endpoint unix_endpoint(std::string_view path) {
    return {.kind = http::Endpoint::unix_socket,
            .path = std::string(path),
            .host_header = "corten.localhost"};
}

Result<http::Endpoint> endpoint_of(const HostOptions& options) {
    const std::string_view address = options.address;
    if (address.starts_with("unix://")) return unix_endpoint(address.substr(7));
    if (address.starts_with("/")) return unix_endpoint(address);
    if (address.starts_with("tcp://")) return tcp_endpoint(address.substr(6), options);
    if (address.starts_with("http://")) return tcp_endpoint(address.substr(7), options);
    if (address.find("://") == address.npos) return tcp_endpoint(address, options);
    return fail(ErrorKind::unsupported,
                "{}: this kind of address is not supported; use unix://PATH or tcp://HOST:PORT",
                address);
}

}  // namespace

Result<Client> make_client(const HostOptions& given) {
    HostOptions options = given;
    if (options.address.empty()) options.address = environment("CORTEN_HOST");
    if (options.address.empty()) options.address = environment("DOCKER_HOST");
    if (options.address.empty()) options.address = "unix:///run/corten/corten.sock";
    if (!environment("DOCKER_TLS_VERIFY").empty()) options.tls_verify = true;
    auto endpoint = TRY(endpoint_of(options));
    return Client(std::move(endpoint), options.address, version_prefix());
}

}  // namespace corten::cli
