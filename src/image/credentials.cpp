#include <base/json.hpp>
#include <base/text.hpp>
#include <image/credentials.hpp>

namespace corten::image {

namespace {

struct RegistryAuth {
    std::string username;
    std::string password;
    std::string auth;
    std::string serveraddress;
    std::string identitytoken;
    std::string registrytoken;

    static constexpr void fields(auto visit) {
        visit(field("username", &RegistryAuth::username),
              field("password", &RegistryAuth::password), field("auth", &RegistryAuth::auth),
              field("serveraddress", &RegistryAuth::serveraddress),
              field("identitytoken", &RegistryAuth::identitytoken),
              field("registrytoken", &RegistryAuth::registrytoken));
    }
};

/// `auth` is base64 of "user:password", as docker's config.json keeps it.
void split_auth(RegistryAuth& auth) {
    if (!auth.username.empty() || auth.auth.empty()) return;
    const auto decoded = base64_decode(auth.auth);
    if (!decoded) return;
    const auto [username, password] = split_once(*decoded, ':');
    auth.username = username;
    auth.password = password;
}

}  // namespace

Credentials parse_registry_auth(std::string_view header) {
    if (header.empty()) return {};
    const auto text = base64_decode(header);
    if (!text) return {};
    auto auth = parse_as<RegistryAuth>(*text, "X-Registry-Auth");
    if (!auth) return {};
    split_auth(*auth);
    return Credentials{.username = auth->username,
                       .password = auth->password,
                       .identity_token = auth->identitytoken,
                       .registry_token = auth->registrytoken,
                       .server_address = auth->serveraddress};
}

std::string basic_authorization(std::string_view username, std::string_view password) {
    return "Basic " + base64_encode(fmt::format("{}:{}", username, password));
}

}  // namespace corten::image
