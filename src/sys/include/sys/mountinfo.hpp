#pragma once
#include <string>
#include <string_view>

namespace corten::sys {

/// A path as /proc/PID/mountinfo has it, where blanks and backslashes are \ooo.
std::string mountinfo_unescaped(std::string_view text);

}  // namespace corten::sys
