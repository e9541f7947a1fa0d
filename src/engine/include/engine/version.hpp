#pragma once
#include <string_view>

namespace corten::engine {

inline constexpr std::string_view version_text = CORTEN_VERSION;
inline constexpr std::string_view source_commit = CORTEN_COMMIT;

/// Docker Engine API versions that are answered.
inline constexpr std::string_view newest_api_version = "1.51";
inline constexpr std::string_view oldest_api_version = "1.24";

}  // namespace corten::engine
