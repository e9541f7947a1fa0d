#pragma once
// Versions of the Docker Engine API.
#include <compare>
#include <string>

namespace corten::apitypes {

struct ApiVersion {
    int major = 1;
    int minor = 0;
    auto operator<=>(const ApiVersion&) const = default;
};

/// What the daemon answers, and the newest is what the command speaks.
inline constexpr ApiVersion newest{1, 51};
inline constexpr ApiVersion oldest{1, 24};

/// "1.51"
inline std::string to_string(ApiVersion version) {
    return std::to_string(version.major) + "." + std::to_string(version.minor);
}

}  // namespace corten::apitypes
