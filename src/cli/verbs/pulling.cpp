#include "pulling.hpp"

#include "../progress.hpp"
#include "../session.hpp"

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

std::string credentials_key(const std::string& domain) {
    return domain == "docker.io" ? "https://index.docker.io/v1/" : domain;
}

Result<std::string> registry_auth(Context& context, const std::string& domain) {
    const Json config = TRY(context.config());
    const std::string key = credentials_key(domain);
    Json auth = Json::object();
    const auto auths = config.find("auths");
    if (auths != config.end() && auths->is_object() && auths->contains(key)) {
        const Json& stored = (*auths)[key];
        const std::string pair = TRY(base64_decode(stored.value("auth", "")));
        const auto [user, password] = split_once(pair, ':');
        if (!user.empty()) auth["username"] = user;
        if (!password.empty()) auth["password"] = password;
        auth["serveraddress"] = key;
        if (stored.contains("identitytoken")) auth["identitytoken"] = stored["identitytoken"];
    }
    return base64_url(dump_json(auth));
}

Result<void> pull_image(Context& context, const ImageName& name, const PullOptions& options) {
    http::Query query;
    query.add("fromImage", name.repository());
    if (!options.all_tags) query.add("tag", name.digest.empty() ? name.tag : name.digest);
    if (!options.platform.empty()) query.add("platform", options.platform);
    Client& client = *TRY(context.client());
    Request request{.method = "POST", .path = "/images/create", .query = std::move(query)};
    request.headers.set("X-Registry-Auth", TRY(registry_auth(context, name.domain)));
    Reply reply = TRY(client.open(std::move(request)));
    return show_progress(std::move(reply), options.to_standard_error, options.quiet);
}

}  // namespace corten::cli
