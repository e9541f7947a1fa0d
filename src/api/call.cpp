#include "call.hpp"

#include "filters.hpp"

#include <base/text.hpp>

namespace corten::api {

namespace {

constexpr int most_depth = 64;

/// The media type without its parameters: "application/json; charset=utf-8" is JSON, too.
bool is_json(std::string_view content_type) {
    return equals_ignoring_case(trim(content_type.substr(0, content_type.find(';'))),
                                "application/json");
}

}  // namespace

bool Call::flag(std::string_view key) const {
    return parse_flag(request.query.get_or(key, ""));
}

std::string Call::text(std::string_view key) const {
    return std::string(request.query.get_or(key, ""));
}

Result<std::optional<std::int64_t>> Call::integer(std::string_view key) const {
    const auto value = request.query.get_or(key, "");
    if (value.empty()) return std::optional<std::int64_t>();
    return std::optional(TRY(parse_integer(value, key)));
}

Result<std::optional<WallTime>> Call::time(std::string_view key) const {
    const auto value = request.query.get_or(key, "");
    if (value.empty() || value == "0") return std::optional<WallTime>();
    return std::optional(TRY(parse_unix_time(value, key)));
}

Result<engine::Filters> Call::filters() const {
    return parse_filters(request.query.get_or("filters", ""));
}

Result<std::optional<Json>> Call::json_body() const {
    const auto type = request.headers.get_or("Content-Type", "");
    const bool empty = request.body_length() == 0U;
    if (!is_json(type) && !(type.empty() && empty))
        return fail(ErrorKind::invalid,
                    "unsupported Content-Type header ({}): must be 'application/json'", type);
    if (empty) return std::optional<Json>();
    auto text = request.read_whole_body();
    if (!text.has_value()) return std::move(text).error().with_kind(ErrorKind::invalid);
    if (trim(*text).empty())
        return fail(ErrorKind::invalid, "invalid JSON: got EOF while reading request body");
    TRY(check_depth(*text));
    return std::optional(TRY(parse_json(*text, "request body")));
}

Result<void> Call::reply_json(int status, const Json& json) const {
    answer.headers().set("Content-Type", "application/json");
    return answer.send(status, dump_json(json) + "\n");
}

Result<void> Call::reply_empty(int status) const {
    return answer.send(status, "");
}

Result<void> check_depth(std::string_view json) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\')
            ++i;
        else if (!in_string && (c == '{' || c == '['))
            ++depth;
        else if (!in_string && (c == '}' || c == ']'))
            --depth;
        if (depth > most_depth)
            return fail(ErrorKind::invalid, "invalid JSON: nested deeper than {} levels",
                        most_depth);
    }
    return {};
}

}  // namespace corten::api
