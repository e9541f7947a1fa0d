#include <base/text.hpp>
#include <base/units.hpp>

#include <array>
#include <charconv>
#include <cmath>

namespace corten {

namespace {

/// Takes a decimal number from the front of `text`; false when there is none.
bool take_number(std::string_view& text, double& value) {
    const auto [end, code] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (code != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

/// The power of 1024 a suffix such as "", "b", "k", "KB" or "kib" stands for; -1 for none.
int size_power(std::string_view suffix) {
    constexpr std::string_view letters = "bkmgtp";
    const std::string lower = to_lower(suffix);
    if (lower.empty()) return 0;
    const auto power = letters.find(lower[0]);
    if (power == std::string_view::npos) return -1;
    const std::string_view rest = std::string_view(lower).substr(1);
    const bool fits = rest.empty() || (power > 0 && (rest == "b" || rest == "ib"));
    return fits ? static_cast<int>(power) : -1;
}

std::string human_scaled(double value, double base, int digits,
                         const std::array<const char*, 7>& units) {
    std::size_t i = 0;
    while (value >= base && i + 1 < units.size()) {
        value /= base;
        ++i;
    }
    return fmt::format("{:.{}g}{}", value, digits, units[i]);
}

}  // namespace

Result<std::int64_t> parse_size(std::string_view text, std::string_view what) {
    const std::string_view whole = text;
    double value = 0;
    if (whole == "-1") return -1;
    if (take_number(text, value)) {
        if (text.starts_with(' ')) text.remove_prefix(1);
        const int power = size_power(text);
        const double bytes = value * std::pow(1024.0, power);
        if (power >= 0 && value >= 0 && bytes < 9.2e18) return static_cast<std::int64_t>(bytes);
    }
    return fail(ErrorKind::invalid,
                "{} \"{}\" is not a size: wanted a number with b, k, m, g, t or p", what, whole);
}

std::string human_size(double bytes, int digits) {
    return human_scaled(bytes, 1000, digits, {"B", "kB", "MB", "GB", "TB", "PB", "EB"});
}

std::string human_size_binary(double bytes) {
    return human_scaled(bytes, 1024, 4, {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
}

std::string human_duration(std::chrono::nanoseconds duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    const auto minutes = seconds / 60;
    const auto hours = static_cast<std::int64_t>(std::llround(static_cast<double>(seconds) / 3600));
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return fmt::format("{} seconds", seconds);
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return fmt::format("{} minutes", minutes);
    if (hours == 1) return "About an hour";
    if (hours < 48) return fmt::format("{} hours", hours);
    if (hours < 24L * 7 * 2) return fmt::format("{} days", hours / 24);
    if (hours < 24L * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
    if (hours < 24L * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
    return fmt::format("{} years", hours / 24 / 365);
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text, std::string_view what) {
    struct Unit {
        std::string_view suffix;
        double nanoseconds;
    };
    constexpr std::array<Unit, 7> units{
        {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}}};
    const std::string_view whole = text;
    const auto bad = [&] {
        return fail(ErrorKind::invalid,
                    "{} \"{}\" is not a duration: wanted a number with ns, us, ms, s, m or h", what,
                    whole);
    };
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text == "0") return std::chrono::nanoseconds(0);
    if (text.empty()) return bad();
    double total = 0;
    while (!text.empty()) {
        double value = 0;
        if (!take_number(text, value) || value < 0) return bad();
        const Unit* found = nullptr;
        for (const auto& unit : units)
            if (text.starts_with(unit.suffix) &&
                (!found || unit.suffix.size() > found->suffix.size()))
                found = &unit;
        if (!found) return bad();
        text.remove_prefix(found->suffix.size());
        total += value * found->nanoseconds;
    }
    if (total > 9.2e18) return bad();
    return std::chrono::nanoseconds(static_cast<std::int64_t>(negative ? -total : total));
}

}  // namespace corten
