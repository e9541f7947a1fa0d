#include "filters.hpp"

#include <base/json.hpp>
#include <base/text.hpp>

namespace corten::api {

namespace {

Error bad_filter() {
    return fail(ErrorKind::invalid, "invalid filter");
}

Result<std::vector<std::string>> parse_values(const Json& json) {
    std::vector<std::string> values;
    if (json.is_object()) {
        for (const auto& [value, on] : json.items())
            if (!on.is_boolean())
                return bad_filter();
            else
                values.push_back(value);
        return values;
    }
    if (!json.is_array()) return bad_filter();
    for (const auto& value : json) {
        if (!value.is_string()) return bad_filter();
        values.push_back(value.get<std::string>());
    }
    return values;
}

}  // namespace

Result<engine::Filters> parse_filters(std::string_view text) {
    engine::Filters filters;
    if (text.empty()) return filters;
    const auto json = parse_json(text, "filters");
    if (!json.has_value()) return bad_filter();
    if (json->is_null()) return filters;
    if (!json->is_object()) return bad_filter();
    for (const auto& [key, values] : json->items()) {
        auto list = TRY(parse_values(values));
        // A key without values does not filter.
        if (!list.empty()) filters[key] = std::move(list);
    }
    return filters;
}

bool parse_flag(std::string_view text) {
    const std::string value = to_lower(trim(text));
    return !(value.empty() || value == "0" || value == "no" || value == "false" || value == "none");
}

}  // namespace corten::api
