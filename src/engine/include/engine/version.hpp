#pragma once
#include <string_view>

namespace corten::engine {

extern const std::string_view version_text;
/// Of the tree that was built; "unknown" outside of a clone.
extern const std::string_view source_commit;

}  // namespace corten::engine
