#pragma once
// JSON through one table per type. A type lists its members once,
//
//   struct Port {
//       std::string ip;  int private_port = 0;
//       static constexpr void fields(auto visit) {
//           visit(field("IP", &Port::ip), field("PrivatePort", &Port::private_port));
//       }
//   };
//
// and can then be read and written; a table is compiled only where that happens. `visit` may be
// called more than once: for a base's members, say. Reading is Go's encoding/json: null and missing
// leave the default, unknown members are ignored; a wrong type is an error that names the member.
// Writing gives every member; std::optional writes null (use omit_empty() to leave a member out
// instead). A type that no table describes (a string or a list, say) has two methods instead: `Json
// write_json() const` and `Result<void> read_json(const Json&, std::string_view path)`.
#include <base/result.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten {

/// Members keep the order in which they are written, as Go's structs do.
using Json = nlohmann::ordered_json;

template <typename Class, typename Member>
struct JsonField {
    const char* name;
    Member Class::* member;
    bool omit_empty = false;
};

template <typename Class, typename Member>
constexpr JsonField<Class, Member> field(const char* name, Member Class::* member) {
    return {name, member, false};
}
/// Written only when it is not empty, zero, false or nullopt (Go's `omitempty`).
template <typename Class, typename Member>
constexpr JsonField<Class, Member> omit_empty(const char* name, Member Class::* member) {
    return {name, member, true};
}

template <typename T>
concept HasJsonFields = requires { T::fields([](const auto&...) {}); };

template <typename T>
concept HasJsonMethods =
    requires(const T& written, T& read, const Json& json, std::string_view path) {
        { written.write_json() } -> std::same_as<Json>;
        { read.read_json(json, path) } -> std::same_as<Result<void>>;
    };

/// Parses text; trailing data and bad UTF-8 are errors. `what` names the document in the error.
Result<Json> parse_json(std::string_view text, std::string_view what);
/// Compact text. Bytes that are not UTF-8 are replaced, as Go does, and never throw.
std::string dump_json(const Json& json);

namespace json_detail {

inline Error wrong_type(std::string_view path, const Json& found, std::string_view wanted) {
    return fail(ErrorKind::invalid, "{}: wanted {}, found {}", path.empty() ? "document" : path,
                wanted, found.type_name());
}

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <typename T>
struct IsArray : std::false_type {};
template <typename T, std::size_t N>
struct IsArray<std::array<T, N>> : std::true_type {};

template <typename T>
bool is_empty(const T& value) {
    if constexpr (IsOptional<T>::value)
        return !value.has_value();
    else if constexpr (requires { value.empty(); })
        return value.empty();
    else if constexpr (std::is_arithmetic_v<T>)
        return value == T{};
    else
        return false;
}

}  // namespace json_detail

template <typename T>
Json to_json(const T& value);
/// `path` is where `json` stands in its document ("HostConfig.Memory"), for the error.
template <typename T>
Result<void> read_json(const Json& json, T& out, std::string_view path);

template <typename T>
Result<T> from_json(const Json& json, std::string_view path = "") {
    T value{};
    TRY(read_json(json, value, path));
    return value;
}

template <typename T>
Result<T> parse_as(std::string_view text, std::string_view what) {
    const Json json = TRY(parse_json(text, what));
    auto value = from_json<T>(json);
    return std::move(value).context(what);
}

namespace json_detail {

template <typename T, typename Class, typename Member>
void write_field(Json& object, const T& value, const JsonField<Class, Member>& entry) {
    const Member& member = value.*entry.member;
    if (entry.omit_empty && is_empty(member)) return;
    object[entry.name] = to_json(member);
}

}  // namespace json_detail

template <typename T>
Json to_json(const T& value) {
    using namespace json_detail;
    if constexpr (IsOptional<T>::value) {
        return value ? to_json(*value) : Json(nullptr);
    } else if constexpr (HasJsonMethods<T>) {
        return value.write_json();
    } else if constexpr (HasJsonFields<T>) {
        Json object = Json::object();
        T::fields([&](const auto&... entries) { (write_field(object, value, entries), ...); });
        return object;
    } else if constexpr (IsVector<T>::value || IsArray<T>::value) {
        Json array = Json::array();
        for (const auto& item : value) array.push_back(to_json(item));
        return array;
    } else if constexpr (IsMap<T>::value) {
        Json object = Json::object();
        for (const auto& [key, item] : value) object[key] = to_json(item);
        return object;
    } else {
        return Json(value);
    }
}

namespace json_detail {

template <typename T>
Result<void> read_scalar(const Json& json, T& out, std::string_view path) {
    if constexpr (std::is_same_v<T, Json>) {
        out = json;
    } else if constexpr (std::is_same_v<T, bool>) {
        if (!json.is_boolean()) return wrong_type(path, json, "true or false");
        out = json.get<bool>();
    } else if constexpr (std::is_same_v<T, std::string>) {
        if (!json.is_string()) return wrong_type(path, json, "a string");
        out = json.get_ref<const std::string&>();
    } else if constexpr (std::is_floating_point_v<T>) {
        if (!json.is_number()) return wrong_type(path, json, "a number");
        out = json.get<T>();
    } else {
        static_assert(std::is_integral_v<T>, "give the type a fields(visit) table");
        if (!json.is_number_integer()) return wrong_type(path, json, "a whole number");
        const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                                    : std::in_range<T>(json.get<std::int64_t>());
        if (!fits) return fail(ErrorKind::invalid, "{}: {} is out of range", path, json.dump());
        out = json.get<T>();
    }
    return {};
}

template <typename T, typename Class, typename Member>
Result<void> read_field(const Json& json, T& out, const JsonField<Class, Member>& entry,
                        std::string_view path) {
    const auto found = json.find(entry.name);
    if (found == json.end() || found->is_null()) return {};
    return read_json(
        *found, out.*entry.member,
        path.empty() ? std::string(entry.name) : fmt::format("{}.{}", path, entry.name));
}

template <typename T>
Result<void> read_object(const Json& json, T& out, std::string_view path) {
    if (!json.is_object()) return wrong_type(path, json, "an object");
    Result<void> result;
    T::fields([&](const auto&... entries) {
        // Stops at the first member that does not fit.
        (void)((result && (result = read_field(json, out, entries, path)).has_value()) && ...);
    });
    return result;
}

}  // namespace json_detail

template <typename T>
Result<void> read_json(const Json& json, T& out, std::string_view path) {
    using namespace json_detail;
    if constexpr (IsOptional<T>::value) {
        if (json.is_null()) return {};
        return read_json(json, out.emplace(), path);
    } else if constexpr (HasJsonMethods<T>) {
        return out.read_json(json, path);
    } else if constexpr (HasJsonFields<T>) {
        return read_object(json, out, path);
    } else if constexpr (IsVector<T>::value) {
        if (!json.is_array()) return wrong_type(path, json, "an array");
        for (std::size_t i = 0; i < json.size(); ++i)
            TRY(read_json(json[i], out.emplace_back(), fmt::format("{}[{}]", path, i)));
        return {};
    } else if constexpr (IsArray<T>::value) {
        // As Go does: what is missing stays zero, what is too much is dropped.
        if (!json.is_array()) return wrong_type(path, json, "an array");
        for (std::size_t i = 0; i < std::min(json.size(), out.size()); ++i)
            TRY(read_json(json[i], out[i], fmt::format("{}[{}]", path, i)));
        return {};
    } else if constexpr (IsMap<T>::value) {
        if (!json.is_object()) return wrong_type(path, json, "an object");
        for (const auto& [key, item] : json.items())
            if (!item.is_null())
                TRY(read_json(item, out[key], fmt::format("{}.{}", path, key)));
            else
                out[key];
        return {};
    } else {
        return read_scalar(json, out, path);
    }
}

}  // namespace corten
