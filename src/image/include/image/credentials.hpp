#pragma once
// Registry credentials as they come with one request; nothing here is stored.
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten::image {

struct Credentials {
    std::string username;
    std::string password;
    std::string identity_token;  ///< an OAuth refresh token, used instead of a password
    std::string registry_token;  ///< a bearer token to be used as it is
    std::string server_address;

    bool anonymous() const {
        return username.empty() && identity_token.empty() && registry_token.empty();
    }
};

/// "user:password" as an Authorization value.
std::string basic_authorization(std::string_view username, std::string_view password);

}  // namespace corten::image
