#pragma once
// Signals as docker's users name them.
#include <base/result.hpp>

#include <string_view>

namespace corten {

/// "KILL", "sigterm", "RTMIN+3" or "9"; error invalid with docker's text "invalid signal: X".
Result<int> parse_signal(std::string_view text);

}  // namespace corten
