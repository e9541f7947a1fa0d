#include "pulling.hpp"

#include "../credentials.hpp"
#include "../progress.hpp"
#include "../session.hpp"

#include <apitypes/image.hpp>
#include <apitypes/system.hpp>
#include <base/text.hpp>

namespace corten::cli {

namespace {

unsigned width_of(int fd) {
    if (!is_terminal(FdView(fd))) return 0;
    const unsigned width = window_size().width;
    return width == 0 ? 80 : width;
}

/// The alphabet of URLs, without taking the padding away, as docker's command sends it.
std::string base64_url(std::string_view bytes) {
    std::string text = base64_encode(bytes);
    for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return text;
}

Result<std::optional<Credentials>> find_credentials(const Context& context,
                                                    const std::string& server) {
    return TRY(CredentialStore::open(context)).find(server);
}

}  // namespace

Result<void> show_progress(Reply reply, bool to_standard_error, bool quiet) {
    const int fd = to_standard_error ? 2 : 1;
    Progress progress(width_of(fd));
    return reply.each_line([&](const Json& line) -> Result<bool> {
        const std::string text = TRY(progress.take(line));
        if (!quiet) TRY(write_output(fd, text));
        return true;
    });
}

Result<void> add_platform(http::Query& query, const FlagValues& flags) {
    if (!flags.given("platform")) return {};
    query.add("platform", dump_json(TRY(apitypes::platform_parameter(flags.text("platform")))));
    return {};
}

Result<std::string> registry_auth(Context& context, const std::string& domain) {
    const std::string server = credentials_key(domain);
    apitypes::AuthConfig auth;
    const auto found = find_credentials(context, server);
    if (!found) {
        print_error(
            fmt::format("WARNING: {}: {}; going on without", server, found.error().message()));
    } else if (*found) {
        auth = {.username = (*found)->user,
                .password = (*found)->password,
                .auth = {},
                .server_address = server,
                .identity_token = (*found)->identity_token,
                .registry_token = {}};
    }
    return base64_url(dump_json(to_json(auth)));
}

Result<void> pull_image(Context& context, const Reference& name, const PullOptions& options) {
    http::Query query;
    query.add("fromImage", name.name());
    if (!options.all_tags) query.add("tag", name.digest.empty() ? name.tag : name.digest);
    if (!options.platform.empty()) query.add("platform", options.platform);
    Client& client = *TRY(context.client());
    Request request{.method = "POST", .path = "/images/create", .query = std::move(query)};
    request.headers.set("X-Registry-Auth", TRY(registry_auth(context, name.domain)));
    Reply reply = TRY(client.open(std::move(request)));
    return show_progress(std::move(reply), options.to_standard_error, options.quiet);
}

}  // namespace corten::cli
