#pragma once
#include <engine/events.hpp>

namespace corten::api {

/// The `filters` query: {"label":{"a=b":true}} (Go clients) or {"label":["a=b"]} (others). Empty
/// text is no filter; anything else is the error "invalid filter".
Result<engine::Filters> parse_filters(std::string_view text);

/// Query booleans: "", 0, no, false and none are false, whatever their case; all else is true.
bool parse_flag(std::string_view text);

}  // namespace corten::api
