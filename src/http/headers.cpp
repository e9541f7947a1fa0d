#include <base/text.hpp>
#include <http/headers.hpp>

#include <algorithm>

namespace corten::http {

std::optional<std::string_view> Headers::get(std::string_view name) const {
    for (const auto& [key, value] : fields_)
        if (equals_ignoring_case(key, name)) return value;
    return {};
}

std::string_view Headers::get_or(std::string_view name, std::string_view other) const {
    return get(name).value_or(other);
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& [key, value] : fields_)
        if (equals_ignoring_case(key, name)) values.push_back(value);
    return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
    for (const auto value : all(name))
        for (const auto& part : split(value, ','))
            if (equals_ignoring_case(trim(part), token)) return true;
    return false;
}

void Headers::add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::set(std::string_view name, std::string value) {
    remove(name);
    add(std::string(name), std::move(value));
}

void Headers::remove(std::string_view name) {
    std::erase_if(fields_,
                  [&](const auto& field) { return equals_ignoring_case(field.first, name); });
}

void Headers::append_to(std::string& out) const {
    const auto is_break = [](char c) { return c == '\r' || c == '\n' || c == '\0'; };
    for (const auto& [name, value] : fields_) {
        out += name;
        out += ": ";
        std::remove_copy_if(value.begin(), value.end(), std::back_inserter(out), is_break);
        out += "\r\n";
    }
}

}  // namespace corten::http
