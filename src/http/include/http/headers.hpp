#pragma once
// Header fields in the order in which they came, compared without case.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corten::http {

class Headers {
public:
    Headers() = default;
    Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

    /// The first field of that name.
    std::optional<std::string_view> get(std::string_view name) const;
    std::string_view get_or(std::string_view name, std::string_view other) const;
    bool contains(std::string_view name) const { return get(name).has_value(); }
    /// All fields of that name, e.g. several WWW-Authenticate.
    std::vector<std::string_view> all(std::string_view name) const;
    /// True when one of the comma separated tokens of the fields `name` is `token`.
    bool has_token(std::string_view name, std::string_view token) const;

    void add(std::string name, std::string value);
    /// Replaces every field of that name.
    void set(std::string_view name, std::string value);
    void remove(std::string_view name);

    bool empty() const { return fields_.empty(); }
    std::size_t size() const { return fields_.size(); }
    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }

    /// Appends "Name: value\r\n" for each field. Line breaks in values are dropped, so that no
    /// value can start another header.
    void append_to(std::string& out) const;

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace corten::http
