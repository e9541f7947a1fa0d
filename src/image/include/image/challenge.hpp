#pragma once
// WWW-Authenticate (RFC 9110 11.6.1): what a registry wants before it answers. Parsing only.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

struct Challenge {
    std::string scheme;                             ///< in lower case: "basic", "bearer"
    std::map<std::string, std::string> parameters;  ///< names in lower case

    std::string parameter(const std::string& name) const {
        const auto found = parameters.find(name);
        return found == parameters.end() ? std::string() : found->second;
    }
};

/// Every challenge of one header field, in order. What cannot be read ends the list: a registry
/// that sends nonsense is one that sends no challenge.
std::vector<Challenge> parse_challenges(std::string_view header);

/// What an answer of a registry's token server holds.
struct Token {
    std::string value;
    int lifetime = 60;          ///< seconds
    std::string refresh_token;  ///< the identity token, when one was asked for
};
/// {"token"|"access_token", "expires_in", "refresh_token"}; nullopt when there is no token in it.
std::optional<Token> parse_token(std::string_view body);

}  // namespace corten::image
