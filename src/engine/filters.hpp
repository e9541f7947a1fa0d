#pragma once
// What the filters of several lists have in common (the API's `filters` parameter).
#include <apitypes/common.hpp>
#include <engine/events.hpp>

#include <span>

namespace corten::engine {

/// "NAME" or "NAME=VALUE".
bool label_matches(const apitypes::StringMap& labels, const std::string& wanted);

bool is_true(const std::string& value);

/// invalid "invalid filter 'x'" for a key that is not `known`.
Result<void> check_filter_keys(const Filters& filters, std::span<const char* const> known);

}  // namespace corten::engine
