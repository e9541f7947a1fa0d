#include "filters.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>

namespace corten::engine {

bool label_matches(const apitypes::StringMap& labels, const std::string& wanted) {
    const auto [name, value] = split_once(wanted, '=');
    const auto found = labels.find(std::string(name));
    if (found == labels.end()) return false;
    return wanted.find('=') == std::string::npos || found->second == value;
}

Result<WallTime> until_time(const std::string& text) {
    if (const auto ago = parse_duration(text, "until")) return now() - *ago;
    if (const auto time = parse_unix_time(text, "until")) return *time;
    return parse_rfc3339(text);
}

bool is_true(const std::string& value) {
    return value == "true" || value == "1";
}

Result<void> check_filter_keys(const Filters& filters, std::span<const char* const> known) {
    for (const auto& [key, values] : filters)
        if (std::ranges::find(known, std::string_view(key)) == known.end())
            return fail(ErrorKind::invalid, "invalid filter '{}'", key);
    return {};
}

}  // namespace corten::engine
