#include "systemd_annotations.hpp"

#include <base/text.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace corten::runtime_cli {
namespace {

constexpr std::string_view prefix = "org.systemd.property.";
constexpr double microseconds = 1e6;

struct NumberType {
    std::string_view name;
    char signature;
    std::int64_t least;
    std::uint64_t most;
};
template <typename Number>
constexpr NumberType type(std::string_view name, char signature) {
    using Limits = std::numeric_limits<Number>;
    return {name, signature, static_cast<std::int64_t>(Limits::min()),
            static_cast<std::uint64_t>(Limits::max())};
}
constexpr std::array<NumberType, 7> number_types{
    type<std::int32_t>("int32", 'i'),   type<std::uint8_t>("byte", 'y'),
    type<std::int16_t>("int16", 'n'),   type<std::uint16_t>("uint16", 'q'),
    type<std::uint32_t>("uint32", 'u'), type<std::int64_t>("int64", 'x'),
    type<std::uint64_t>("uint64", 't'),
};
constexpr const NumberType& usual_type = number_types[0];

Error not_a_value(std::string_view text) {
    return fail(ErrorKind::invalid,
                "\"{}\" is no value: wanted is a number, a string in quotes, true, false, or a "
                "list of strings",
                text);
}

/// The whole of `text` as a number of this kind.
template <typename Number>
std::optional<Number> whole(std::string_view text) {
    Number value{};
    const std::string digits(text);
    const auto* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || stop != end) return std::nullopt;
    return value;
}

Result<BusValue> parse_integer_of(const NumberType& type, std::string_view text) {
    if (text.starts_with('-')) {
        const auto value = whole<std::int64_t>(text);
        if (!value || *value < type.least) return not_a_value(text);
        return BusValue(BusScalar{type.signature, static_cast<std::uint64_t>(*value)});
    }
    const auto value = whole<std::uint64_t>(text);
    if (!value || *value > type.most) return not_a_value(text);
    return BusValue(BusScalar{type.signature, *value});
}

Result<BusValue> parse_number(std::string_view text) {
    const auto [word, rest] = split_once(text, ' ');
    const auto* named = std::ranges::find(number_types, word, &NumberType::name);
    if (named != number_types.end()) return parse_integer_of(*named, trim(rest));
    const bool real = text.find_first_of(".e") != text.npos || word == "double";
    if (!real) return parse_integer_of(usual_type, text);
    const auto value = whole<double>(word == "double" ? trim(rest) : text);
    if (!value || !std::isfinite(*value)) return not_a_value(text);
    return BusValue(BusScalar{'d', std::bit_cast<std::uint64_t>(*value)});
}

/// A string in quotes at the beginning of `text`, which is left with what follows.
Result<std::string> take_string(std::string_view& text) {
    const auto whole_text = text;
    if (!text.starts_with('"') && !text.starts_with('\'')) return not_a_value(whole_text);
    const char quote = text[0];
    std::string value;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == quote) {
            text.remove_prefix(i + 1);
            return value;
        }
        if (text[i] == '\\') ++i;
        if (i < text.size()) value += text[i];
    }
    return not_a_value(whole_text);
}

Result<BusValue> parse_list(std::string_view text) {
    std::vector<std::string> all;
    auto rest = trim(text.substr(1));
    while (!rest.starts_with(']')) {
        all.push_back(TRY(take_string(rest)));
        rest = trim(rest);
        if (rest.starts_with(','))
            rest = trim(rest.substr(1));
        else if (!rest.starts_with(']'))
            return not_a_value(text);
    }
    if (rest != "]") return not_a_value(text);
    return BusValue(std::move(all));
}

/// Seconds of any number as systemd's microseconds.
Result<BusValue> in_microseconds(const BusValue& seconds) {
    const auto* number = std::get_if<BusScalar>(&seconds);
    if (number == nullptr) return fail(ErrorKind::invalid, "a number of seconds is wanted");
    double value = 0;
    if (number->type == 'd')
        value = std::bit_cast<double>(number->bits);
    else if (number->type == 't')
        value = static_cast<double>(number->bits);
    else
        value = static_cast<double>(static_cast<std::int64_t>(number->bits));
    const auto product = value * microseconds;
    if (value < 0 || product >= static_cast<double>(std::numeric_limits<std::uint64_t>::max()))
        return fail(ErrorKind::invalid, "{} is no number of seconds", value);
    return BusValue(static_cast<std::uint64_t>(std::llround(product)));
}

bool is_property(std::string_view name) {
    constexpr std::size_t shortest = 3;
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    return name.size() >= shortest && std::ranges::all_of(name, is_letter);
}

bool is_in_seconds(std::string_view name) {
    constexpr std::string_view unit = "Sec";
    if (!name.ends_with(unit) || name.size() == unit.size()) return false;
    const char before = name[name.size() - unit.size() - 1];
    return before >= 'a' && before <= 'z';
}

Result<std::pair<std::string, BusValue>> annotated(std::string_view name, std::string_view text) {
    if (!is_property(name))
        return fail(ErrorKind::invalid, "\"{}\" is no name of a property: wanted are letters",
                    name);
    auto value = TRY(parse_bus_value(text));
    if (!is_in_seconds(name)) return std::pair(std::string(name), std::move(value));
    const auto without = name.substr(0, name.size() - std::string_view("Sec").size());
    return std::pair(std::string(without) + "USec", TRY(in_microseconds(value)));
}

}  // namespace

Result<BusValue> parse_bus_value(std::string_view text) {
    text = trim(text);
    if (text == "true" || text == "false") return BusValue(text == "true");
    if (text.starts_with('[')) return parse_list(text);
    if (!text.starts_with('"') && !text.starts_with('\'')) return parse_number(text);
    auto rest = text;
    auto value = TRY(take_string(rest));
    if (!rest.empty()) return not_a_value(text);
    return BusValue(std::move(value));
}

Result<BusProperties> annotated_properties(const std::map<std::string, std::string>& annotations) {
    BusProperties all;
    for (const auto& [key, value] : annotations)
        if (key.starts_with(prefix))
            all.push_back(TRY(annotated(std::string_view(key).substr(prefix.size()), value)
                                  .context("annotations." + key)));
    return all;
}

}  // namespace corten::runtime_cli
