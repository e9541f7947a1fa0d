#pragma once
// Wall-clock times in the two forms of the Docker API.
#include <base/result.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace corten {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

WallTime now();

/// RFC 3339 in UTC with up to nine decimals, trailing zeros trimmed: "2026-11-24T03:44:30.33Z".
/// The epoch itself stands for "never" and gives Go's zero time, "0001-01-01T00:00:00Z".
std::string rfc3339(WallTime time);
/// The same with all nine decimals, as log prefixes have it.
std::string rfc3339_padded(WallTime time);
/// Takes what rfc3339() writes, and other zones than Z. Go's zero time gives the epoch,
/// a time before 1684 or after 2255 the nearest that counts in nanoseconds.
Result<WallTime> parse_rfc3339(std::string_view text);
/// "1700000000.123456789" or "1700000000": seconds since the epoch, as `since` and `until` have it.
Result<WallTime> parse_unix_time(std::string_view text, std::string_view what);

inline std::int64_t unix_seconds(WallTime t) {
    return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
}
inline std::int64_t unix_nanoseconds(WallTime t) {
    return t.time_since_epoch().count();
}

}  // namespace corten
