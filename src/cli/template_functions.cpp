#include "template_ast.hpp"

#include <base/text.hpp>

#include <algorithm>
#include <array>
#include <cctype>

namespace corten::cli::tmpl {

namespace {

std::string print_json(const Json& json, const char* nil_text = "<nil>");

/// Go's %v of a map: keys in order, "map[a:1 b:2]".
std::string print_map(const Json& object) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : object.items())
        if (key[0] != '\x01') keys.push_back(key);
    std::ranges::sort(keys);
    std::string out = "map[";
    for (const std::string& key : keys) {
        if (out.size() > 4) out += ' ';
        out += key + ":" + print_json(object[key]);
    }
    return out + "]";
}

std::string print_list(const Json& array) {
    std::string out = "[";
    for (const Json& item : array) {
        if (out.size() > 1) out += ' ';
        out += print_json(item);
    }
    return out + "]";
}

std::string print_json(const Json& json, const char* nil_text) {
    if (json.is_null()) return nil_text;
    if (json.is_string()) return json.get<std::string>();
    if (json.is_array()) return print_list(json);
    if (json.is_object()) return print_map(json);
    if (json.is_number_float()) return fmt::format("{}", json.get<double>());
    return json.dump();
}

const Json& json_of(const Value& value) {
    static const Json null;
    return value.json ? *value.json : null;
}

Error wrong_type(const Value& value, std::string_view wanted) {
    return fail(ErrorKind::invalid, "wrong type for value; expected {}; got {}", wanted,
                json_of(value).type_name());
}

Result<std::int64_t> whole_number(const Value& value) {
    if (!json_of(value).is_number_integer()) return wrong_type(value, "int");
    return json_of(value).get<std::int64_t>();
}

std::string title(std::string text) {
    bool start = true;
    for (char& c : text) {
        if (start) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        start = std::isspace(static_cast<unsigned char>(c));
    }
    return text;
}

std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
}

Json split_text(const std::string& text, const std::string& separator) {
    Json parts = Json::array();
    std::size_t start = 0;
    if (separator.empty()) {
        for (const char c : text) parts.push_back(std::string(1, c));
        return parts;
    }
    for (auto at = text.find(separator); at != text.npos; at = text.find(separator, start)) {
        parts.push_back(text.substr(start, at - start));
        start = at + separator.size();
    }
    parts.push_back(text.substr(start));
    return parts;
}

Result<Json> join_list(const Value& list, const std::string& separator) {
    if (json_of(list).is_null()) return Json("");
    if (!json_of(list).is_array()) return wrong_type(list, "[]string");
    std::string out;
    bool first = true;
    for (const Json& item : json_of(list)) {
        if (!std::exchange(first, false)) out += separator;
        out += print_json(item);
    }
    return Json(out);
}

Result<Json> length(const Value& value) {
    const Json& json = json_of(value);
    if (json.is_string()) return Json(json.get_ref<const std::string&>().size());
    if (json.is_structured()) return Json(json.size());
    if (json.is_null()) return Json(0);
    return fail(ErrorKind::invalid, "len of type {}", json.type_name());
}

/// index X 1 "a" is X[1]["a"]; a key that a map does not have gives the empty value.
Result<Json> index_into(const std::vector<Value>& arguments) {
    const Json* json = &json_of(arguments[0]);
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (json->is_null()) {
            return Json("");
        } else if (json->is_object()) {
            const auto found = json->find(to_text(arguments[i]));
            if (found == json->end()) return Json("");
            json = &*found;
        } else if (json->is_array()) {
            const std::int64_t at = TRY(whole_number(arguments[i]));
            if (at < 0 || at >= static_cast<std::int64_t>(json->size()))
                return fail(ErrorKind::invalid, "index out of range: {}", at);
            json = &(*json)[static_cast<std::size_t>(at)];
        } else {
            return fail(ErrorKind::invalid, "can't index item of type {}", json->type_name());
        }
    }
    return *json;
}

Result<Json> slice(const std::vector<Value>& arguments) {
    const Json& json = json_of(arguments[0]);
    const std::size_t size = TRY(length(arguments[0])).get<std::size_t>();
    std::size_t from = 0;
    std::size_t to = size;
    if (arguments.size() > 1) from = static_cast<std::size_t>(TRY(whole_number(arguments[1])));
    if (arguments.size() > 2) to = static_cast<std::size_t>(TRY(whole_number(arguments[2])));
    if (from > to || to > size) return fail(ErrorKind::invalid, "index out of range: {}", to);
    if (json.is_string()) return Json(json.get<std::string>().substr(from, to - from));
    Json out = Json::array();
    for (std::size_t i = from; i < to; ++i) out.push_back(json[i]);
    return out;
}

std::string quote(const std::string& text) {
    return Json(text).dump();
}

/// One %-directive of printf, with its flags and width as written.
Result<std::string> format_one(const std::string& directive, const Value& value) {
    const char verb = directive.back();
    std::string options = directive.substr(1, directive.size() - 2);
    const bool left = options.starts_with("-");
    if (left) options.erase(0, 1);
    std::string text;
    if (verb == 'q')
        text = quote(to_text(value));
    else if (verb == 'x' && json_of(value).is_number_integer())
        text = fmt::format("{:x}", json_of(value).get<std::int64_t>());
    else if (verb == 'f') {
        if (!json_of(value).is_number()) return wrong_type(value, "float64");
        const auto [width, places] = split_once(options, '.');
        const int digits = places.empty() ? 6 : static_cast<int>(TRY(parse_integer(places, "%f")));
        text = fmt::format("{:.{}f}", json_of(value).get<double>(), digits);
        options = std::string(width);
    } else
        text = to_text(value);
    if (options.empty()) return text;
    const bool zeros = options[0] == '0';
    const auto width = static_cast<std::size_t>(TRY(parse_integer(options, "width of printf")));
    while (text.size() < width) text.insert(left ? text.size() : 0, 1, zeros && !left ? '0' : ' ');
    return text;
}

Result<Json> print_formatted(const std::vector<Value>& arguments) {
    const std::string format = to_text(arguments[0]);
    std::string out;
    std::size_t next = 1;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            out += format[i];
            continue;
        }
        const auto end = format.find_first_not_of("0123456789.-+# ", i + 1);
        if (end == format.npos) return fail(ErrorKind::invalid, "%!(NOVERB)");
        if (format[end] == '%')
            out += '%';
        else if (next < arguments.size())
            out += TRY(format_one(format.substr(i, end - i + 1), arguments[next++]));
        else
            out += fmt::format("%!{}(MISSING)", format[end]);
        i = end;
    }
    return Json(out);
}

Result<Json> compare(const std::string& name, const std::vector<Value>& arguments) {
    const Json& left = json_of(arguments[0]);
    if (name == "eq") {
        for (std::size_t i = 1; i < arguments.size(); ++i)
            if (left == json_of(arguments[i])) return Json(true);
        return Json(false);
    }
    const Json& right = json_of(arguments[1]);
    if (name == "ne") return Json(left != right);
    if (left.is_number() != right.is_number() || left.is_string() != right.is_string())
        return fail(ErrorKind::invalid, "incompatible types for comparison");
    if (name == "lt") return Json(left < right);
    if (name == "le") return Json(left <= right);
    if (name == "gt") return Json(left > right);
    return Json(left >= right);
}

std::string print_all(const std::vector<Value>& arguments, std::string_view separator) {
    std::string out;
    for (const Value& argument : arguments) {
        if (!out.empty()) out += separator;
        out += to_text(argument);
    }
    return out;
}

/// The members that only templates see are not part of the JSON.
Json without_hidden(const Json& json) {
    if (!json.is_object()) return json;
    Json out = Json::object();
    for (const auto& [key, value] : json.items())
        if (key[0] != '\x01') out[key] = value;
    return out;
}

struct Function {
    std::string_view name;
    std::size_t least_arguments;
};
constexpr std::array functions = {
    Function{"json", 1},  Function{"split", 2},   Function{"join", 2},   Function{"title", 1},
    Function{"lower", 1}, Function{"upper", 1},   Function{"pad", 3},    Function{"truncate", 2},
    Function{"and", 1},   Function{"or", 1},      Function{"not", 1},    Function{"eq", 2},
    Function{"ne", 2},    Function{"lt", 2},      Function{"le", 2},     Function{"gt", 2},
    Function{"ge", 2},    Function{"len", 1},     Function{"index", 1},  Function{"slice", 1},
    Function{"print", 0}, Function{"println", 0}, Function{"printf", 1}, Function{"contains", 2},
};

Result<Json> text_function(const std::string& name, const std::vector<Value>& arguments) {
    const std::string text = to_text(arguments[0]);
    if (name == "title") return Json(title(text));
    if (name == "lower") return Json(to_lower(text));
    if (name == "upper") return Json(upper(text));
    if (name == "split") return split_text(text, to_text(arguments[1]));
    if (name == "contains") return Json(text.find(to_text(arguments[1])) != text.npos);
    if (name == "truncate") {
        const auto width = TRY(whole_number(arguments[1]));
        return Json(text.substr(0, static_cast<std::size_t>(std::max<std::int64_t>(width, 0))));
    }
    const auto before = TRY(whole_number(arguments[1]));  // pad
    const auto after = TRY(whole_number(arguments[2]));
    if (text.empty() || before < 0 || after < 0) return Json(text);
    return Json(std::string(static_cast<std::size_t>(before), ' ') + text +
                std::string(static_cast<std::size_t>(after), ' '));
}

}  // namespace

bool is_true(const Value& value) {
    const Json& json = json_of(value);
    if (json.is_boolean()) return json.get<bool>();
    if (json.is_number()) return json.get<double>() != 0;
    if (json.is_string()) return !json.get_ref<const std::string&>().empty();
    return !json.empty();
}

std::string to_text(const Value& value) {
    return print_json(json_of(value), value.nil_text);
}

bool is_function(std::string_view name) {
    return std::ranges::find(functions, name, &Function::name) != functions.end();
}

Result<Json> call_function(const std::string& name, const std::vector<Value>& arguments) {
    const auto function = std::ranges::find(functions, name, &Function::name);
    if (arguments.size() < function->least_arguments)
        return fail(ErrorKind::invalid, "wrong number of args for {}: want at least {} got {}",
                    name, function->least_arguments, arguments.size());
    if (name == "json") return Json(dump_json(without_hidden(json_of(arguments[0]))));
    if (name == "join") return join_list(arguments[0], to_text(arguments[1]));
    if (name == "not") return Json(!is_true(arguments[0]));
    if (name == "len") return length(arguments[0]);
    if (name == "index") return index_into(arguments);
    if (name == "slice") return slice(arguments);
    if (name == "print") return Json(print_all(arguments, ""));
    if (name == "println") return Json(print_all(arguments, " ") + "\n");
    if (name == "printf") return print_formatted(arguments);
    if (name == "eq" || name == "ne" || name == "lt" || name == "le" || name == "gt" ||
        name == "ge")
        return compare(name, arguments);
    return text_function(name, arguments);
}

}  // namespace corten::cli::tmpl
