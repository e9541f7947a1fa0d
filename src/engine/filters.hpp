#pragma once
// What the filters of several lists have in common (the API's `filters` parameter).
#include <apitypes/common.hpp>
#include <base/clock.hpp>
#include <engine/events.hpp>

#include <span>

namespace corten::engine {

/// "NAME" or "NAME=VALUE".
bool label_matches(const apitypes::StringMap& labels, const std::string& wanted);

/// Of the filter "until": a duration back from now, seconds since the epoch, or RFC 3339.
Result<WallTime> until_time(const std::string& text);

bool is_true(const std::string& value);

/// invalid "invalid filter 'x'" for a key that is not `known`.
Result<void> check_filter_keys(const Filters& filters, std::span<const char* const> known);

}  // namespace corten::engine
