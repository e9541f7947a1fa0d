#pragma once
// What the filters of several lists have in common (the API's `filters` parameter).
#include <apitypes/common.hpp>
#include <base/clock.hpp>
#include <engine/events.hpp>

#include <regex.h>

#include <memory>
#include <span>

namespace corten::engine {

/// "NAME" or "NAME=VALUE".
bool label_matches(const apitypes::StringMap& labels, const std::string& wanted);

/// Of the filter "until": a duration back from now, seconds since the epoch, or RFC 3339.
Result<WallTime> until_time(const std::string& text);

bool is_true(const std::string& value);

/// What a filter such as name= matches: POSIX extended expressions, as near to Go's as the C
/// library comes; one that is none matches only itself. Compiled once for a whole list.
class Patterns {
public:
    /// Of the filter's values for `key`; without any nothing matches.
    Patterns(const Filters& filters, const std::string& key);
    bool match(const std::string& text) const;

private:
    struct Pattern {
        std::string text;
        std::shared_ptr<regex_t> expression;  ///< null where the text is none
    };
    std::vector<Pattern> patterns_;
};

/// invalid "invalid filter 'x'" for a key that is not `known`.
Result<void> check_filter_keys(const Filters& filters, std::span<const char* const> known);

}  // namespace corten::engine
