#pragma once
#include <string_view>

namespace corten::engine {

extern const std::string_view version_text;
/// Of the tree that was built; "unknown" outside of a clone.
extern const std::string_view source_commit;

/// Docker Engine API versions that are answered.
inline constexpr std::string_view newest_api_version = "1.51";
inline constexpr std::string_view oldest_api_version = "1.24";

}  // namespace corten::engine
