#pragma once
// Small text helpers that the standard library lacks.
#include <base/result.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten {

std::vector<std::string> split(std::string_view text, char separator);
/// "a=b=c" at '=' gives {"a", "b=c"}; without a separator the second part is empty.
std::pair<std::string_view, std::string_view> split_once(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

std::string hex(std::span<const std::uint8_t> bytes);
bool is_lower_hex(std::string_view text);

/// A whole decimal number, nothing before or after it; `what` names it in the error.
Result<std::int64_t> parse_integer(std::string_view text, std::string_view what);

std::string base64_encode(std::string_view bytes);
/// Takes the standard and the URL alphabet, with or without padding (RFC 4648 4 and 5).
Result<std::string> base64_decode(std::string_view text);

}  // namespace corten
