#pragma once
#include <base/clock.hpp>

#include <chrono>
#include <optional>
#include <string_view>

namespace corten::image {

/// What a Retry-After field (RFC 9110 10.2.3) asks to wait from `now` on: it holds seconds, or a
/// date as HTTP writes them today. nullopt for anything else.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view field, WallTime now);

}  // namespace corten::image
