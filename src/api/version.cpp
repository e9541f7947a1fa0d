#include "version.hpp"

#include <http/url.hpp>

#include <charconv>

namespace corten::api {

namespace {

/// "1.41" gives {1, 41}; digits and dots only, further components do not count.
ApiVersion parse_version(std::string_view text) {
    ApiVersion version{0, 0};
    const auto dot = text.find('.');
    const auto major = text.substr(0, dot);
    std::from_chars(major.data(), major.data() + major.size(), version.major);
    if (dot == std::string_view::npos) return version;
    const auto minor = text.substr(dot + 1);
    std::from_chars(minor.data(), minor.data() + minor.size(), version.minor);
    return version;
}

}  // namespace

Result<VersionedPath> split_version(std::string_view raw_path) {
    VersionedPath out;
    if (raw_path.starts_with("/v")) {
        const auto end = raw_path.find_first_not_of("0123456789.", 2);
        const bool is_prefix = end != std::string_view::npos && end > 2 && raw_path[end] == '/';
        if (is_prefix) {
            out.version_text = raw_path.substr(2, end - 2);
            out.version = parse_version(out.version_text);
            raw_path.remove_prefix(end);
        }
    }
    out.path = TRY(http::percent_decode(raw_path));
    return out;
}

Result<void> check_version(const VersionedPath& path) {
    if (path.version > newest)
        return fail(ErrorKind::invalid,
                    "client version {} is too new. Maximum supported API version is {}",
                    path.version_text, to_string(newest));
    if (path.version < oldest)
        return fail(ErrorKind::invalid,
                    "client version {} is too old. Minimum supported API version is {}, please "
                    "upgrade your client to a newer version",
                    path.version_text, to_string(oldest));
    return {};
}

}  // namespace corten::api
