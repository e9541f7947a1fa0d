#include "resolve.hpp"

#include <base/text.hpp>
#include <image/login.hpp>

namespace corten::image {

namespace {

Result<LoginResult> try_login(Session& session, const Credentials& credentials) {
    // A password is exchanged for a token that can be stored in its stead, where that is offered.
    if (credentials.identity_token.empty()) session.authorizer().want_identity_token();
    auto answer = TRY(session.request({.target = "/v2/"}));
    if (answer.status() == 200)
        return LoginResult{.identity_token = session.authorizer().identity_token()};
    return fail(answer.status() == 401 || answer.status() == 403 ? ErrorKind::unauthorized
                                                                 : ErrorKind::unavailable,
                "login attempt to {}/v2/ failed with status: {}", session.endpoint().base(),
                answer.status_line());
}

}  // namespace

std::string registry_domain(std::string_view address) {
    if (const std::size_t mark = address.find("://"); mark != address.npos)
        address.remove_prefix(mark + 3);
    address = split_once(address, '/').first;
    if (address.empty() || address == "index.docker.io" || address == "registry-1.docker.io")
        return std::string(default_domain);
    return std::string(address);
}

Result<LoginResult> login(const Credentials& credentials, const PullOptions& options,
                          FdView cancel) {
    Transport transport(transport_options(options, cancel));
    const Reference nowhere{.domain = registry_domain(credentials.server_address)};
    RegistryConfig config = options.registry;
    config.mirrors.clear();  // they must not see the password
    auto sessions = TRY(open_sessions(transport, config, nowhere, credentials, ""));
    return with_first_reachable<LoginResult>(
        sessions, [&](Session& session) { return try_login(session, credentials); });
}

}  // namespace corten::image
