#pragma once
// URLs, percent-encoding (RFC 3986) and query strings as HTML forms write them.
#include <base/result.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corten::http {

/// A query string, in order. Names and values are decoded ('+' is a space).
class Query {
public:
    /// Never fails: what is not a valid escape stands for itself, as browsers do it.
    static Query parse(std::string_view text);

    /// The first value of that name.
    std::optional<std::string_view> get(std::string_view name) const;
    std::string_view get_or(std::string_view name, std::string_view other) const;
    std::vector<std::string> all(std::string_view name) const;
    bool contains(std::string_view name) const { return get(name).has_value(); }
    void add(std::string name, std::string value);
    bool empty() const { return fields_.empty(); }
    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }

    /// "a=1&b=x%2Fy", without a question mark.
    std::string encode() const;

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

/// Everything but letters, digits and -._~ becomes %XX.
std::string percent_encode(std::string_view text);
/// An invalid escape, or one that gives a NUL byte, is an error.
Result<std::string> percent_decode(std::string_view text);

struct Url {
    std::string scheme;  ///< lower case
    std::string user;    ///< "name:password", percent-encoded, or empty
    std::string host;    ///< without brackets
    std::string port;    ///< as given, or the scheme's own (http 80, https 443), else empty
    std::string target;  ///< path and query as sent in the request line; at least "/"

    /// host[:port] as the Host header has it: without a port that is the scheme's own.
    std::string authority() const;
};

/// scheme://[user@]host[:port][/path][?query]; a fragment is dropped.
Result<Url> parse_url(std::string_view text);
/// Resolves a Location header against the URL of the request (RFC 3986 5.2).
Result<Url> resolve_url(const Url& base, std::string_view location);
std::string to_string(const Url& url);

}  // namespace corten::http
