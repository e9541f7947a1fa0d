#include "retry_after.hpp"

#include <base/text.hpp>

#include <algorithm>
#include <ctime>

namespace corten::image {

namespace {

constexpr std::chrono::seconds longest = std::chrono::hours(24 * 365);

/// IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT". The daemon keeps the C locale's names of days.
std::optional<std::time_t> parse_http_date(const std::string& text) {
    std::tm parts{};
    const char* rest = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (!rest || *rest != '\0') return {};
    return ::timegm(&parts);
}

}  // namespace

std::optional<std::chrono::seconds> parse_retry_after(std::string_view field, WallTime now) {
    const std::string text(trim(field));
    std::int64_t wait = 0;
    if (const auto seconds = parse_integer(text, "Retry-After"))
        wait = *seconds;
    else if (const auto date = parse_http_date(text))
        wait = *date - unix_seconds(now);
    else
        return {};
    return std::chrono::seconds(std::clamp<std::int64_t>(wait, 0, longest.count()));
}

}  // namespace corten::image
