#include <base/clock.hpp>
#include <base/text.hpp>

#include <algorithm>
#include <ctime>

namespace corten {

namespace {

/// Seconds from 1970 that are a number of nanoseconds as well: the years 1684 to 2255.
constexpr std::int64_t furthest = 9'000'000'000;

constexpr std::string_view go_zero_time = "0001-01-01T00:00:00Z";

std::string seconds_part(std::time_t seconds) {
    std::tm tm{};
    ::gmtime_r(&seconds, &tm);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", tm.tm_year + 1900, tm.tm_mon + 1,
                       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

Result<std::int64_t> parse_fraction(std::string_view digits) {
    std::string padded(digits.substr(0, 9));
    padded.resize(9, '0');
    return parse_integer(padded, "fraction of a second");
}

}  // namespace

WallTime now() {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

std::string rfc3339_padded(WallTime time) {
    const auto seconds = unix_seconds(time);
    const auto nanos = unix_nanoseconds(time) - seconds * 1'000'000'000;
    return fmt::format("{}.{:09}Z", seconds_part(seconds), nanos);
}

std::string rfc3339(WallTime time) {
    if (time == WallTime{}) return std::string(go_zero_time);
    std::string text = rfc3339_padded(time);
    text.pop_back();
    text.resize(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text + 'Z';
}

Result<WallTime> parse_rfc3339(std::string_view text) {
    if (text == go_zero_time) return WallTime{};
    const auto bad = [&] {
        return fail(ErrorKind::invalid, "\"{}\" is not an RFC 3339 time", text);
    };
    std::tm tm{};
    const std::string copy(text);
    const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest) return bad();
    std::string_view tail(rest);
    std::int64_t nanos = 0;
    if (tail.starts_with('.')) {
        const auto end = tail.find_first_not_of("0123456789", 1);
        if (end == std::string_view::npos || end == 1) return bad();
        nanos = TRY(parse_fraction(tail.substr(1, end - 1)));
        tail.remove_prefix(end);
    }
    std::int64_t offset = 0;
    if (tail != "Z") {
        if (tail.size() != 6 || (tail[0] != '+' && tail[0] != '-') || tail[3] != ':') return bad();
        const auto hours = TRY(parse_integer(tail.substr(1, 2), "zone"));
        const auto minutes = TRY(parse_integer(tail.substr(4, 2), "zone"));
        offset = (hours * 3600 + minutes * 60) * (tail[0] == '-' ? -1 : 1);
    }
    const std::int64_t seconds = std::clamp(::timegm(&tm) - offset, -furthest, furthest);
    return WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos));
}

Result<WallTime> parse_unix_time(std::string_view text, std::string_view what) {
    const auto [whole, fraction] = split_once(text, '.');
    const auto seconds = TRY(parse_integer(whole, what));
    if (seconds < -furthest || seconds > furthest)
        return fail(ErrorKind::invalid, "{} \"{}\" is out of range", what, text);
    const auto nanos = fraction.empty() ? 0 : TRY(parse_fraction(fraction));
    return WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos));
}

}  // namespace corten
