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

Patterns::Patterns(const Filters& filters, const std::string& key) {
    const auto values = filters.find(key);
    if (values == filters.end()) return;
    for (const auto& text : values->second) {
        auto compiled = std::make_unique<regex_t>();
        const int code = ::regcomp(compiled.get(), text.c_str(), REG_EXTENDED | REG_NOSUB);
        patterns_.push_back({.text = text, .expression = {}});
        if (code != 0) continue;
        patterns_.back().expression = {compiled.release(), [](regex_t* expression) {
                                           ::regfree(expression);
                                           delete expression;
                                       }};
    }
}

bool Patterns::match(const std::string& text) const {
    return std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
        return pattern.text == text ||
               (pattern.expression &&
                ::regexec(pattern.expression.get(), text.c_str(), 0, nullptr, 0) == 0);
    });
}

Result<void> check_filter_keys(const Filters& filters, std::span<const char* const> known) {
    for (const auto& [key, values] : filters)
        if (std::ranges::find(known, std::string_view(key)) == known.end())
            return fail(ErrorKind::invalid, "invalid filter '{}'", key);
    return {};
}

}  // namespace corten::engine
