#pragma once
// Sizes and durations as docker's users write and read them.
#include <base/result.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace corten {

/// "64m", "1.5GiB", "4096", "2kb": powers of 1024, as docker's --memory takes them. -1 is kept.
Result<std::int64_t> parse_size(std::string_view text, std::string_view what);

/// 1234567 -> "1.235MB": powers of 1000, four significant digits as `docker system df` prints them
/// or three as `docker images` does.
std::string human_size(double bytes, int digits = 4);
/// 67108864 -> "64MiB": powers of 1024, as `docker stats` prints.
std::string human_size_binary(double bytes);
/// "About a minute", "3 hours", "2 weeks": as `docker ps` prints.
std::string human_duration(std::chrono::nanoseconds duration);

/// Go's duration syntax: "1h15m30.918s", "300ms", "-1.5h". A bare "0" is allowed.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text, std::string_view what);

}  // namespace corten
