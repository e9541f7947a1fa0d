#include "flags.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace corten::cli {

namespace {

/// pflag reads numbers as Go's ParseInt with base 0: decimal, 0x, 0b, 0o and a leading 0.
Result<std::int64_t> parse_number(const std::string& text) {
    errno = 0;
    char* end = nullptr;
    const long long value = std::strtoll(text.c_str(), &end, 0);
    const bool starts_well = !text.empty() && !std::isspace(static_cast<unsigned char>(text[0]));
    if (!starts_well || *end != '\0')
        return fail(ErrorKind::invalid, "strconv.ParseInt: parsing \"{}\": invalid syntax", text);
    if (errno == ERANGE)
        return fail(ErrorKind::invalid, "strconv.ParseInt: parsing \"{}\": value out of range",
                    text);
    return value;
}

std::string display_name(const Flag& flag) {
    return flag.shorthand ? fmt::format("-{}, --{}", flag.shorthand, flag.name)
                          : fmt::format("--{}", flag.name);
}

Result<std::int64_t> parse_size_flag(const std::string& text, bool minus_one) {
    if (minus_one && text == "-1") return std::int64_t{-1};
    const auto bytes = parse_size(text, "size");
    if (!bytes || *bytes < 0) return fail(ErrorKind::invalid, "invalid size: '{}'", text);
    return *bytes;
}

Result<void> check_value(FlagKind kind, const std::string& value) {
    switch (kind) {
        case FlagKind::toggle:
            TRY(parse_bool(value));
            break;
        case FlagKind::integer:
            TRY(parse_number(value));
            break;
        case FlagKind::size:
            TRY(parse_size_flag(value, false));
            break;
        case FlagKind::swap:
            TRY(parse_size_flag(value, true));
            break;
        case FlagKind::duration: {
            if (!parse_duration(value, "duration"))
                return fail(ErrorKind::invalid, "time: invalid duration \"{}\"", value);
            break;
        }
        case FlagKind::text:
        case FlagKind::list:
            break;
    }
    return {};
}

/// One command line while it is being read.
class Parser {
public:
    Parser(std::span<const Flag> table, std::span<const std::string> line, FlagOrder order)
        : table_(table), line_(line), order_(order) {
        parsed_.flags = FlagValues(table);
    }

    Result<ParsedLine> run() {
        while (next_ < line_.size() && !parsed_.help) {
            const std::string& word = line_[next_++];
            if (word == "--") {
                take_rest();
            } else if (word.starts_with("--")) {
                TRY(long_flag(word.substr(2)));
            } else if (word.size() > 1 && word[0] == '-') {
                TRY(short_flags(word));
            } else {
                parsed_.arguments.push_back(word);
                if (order_ == FlagOrder::before_arguments) take_rest();
            }
        }
        return std::move(parsed_);
    }

private:
    void take_rest() {
        for (; next_ < line_.size(); ++next_) parsed_.arguments.push_back(line_[next_]);
    }

    const Flag* by_name(std::string_view name) const {
        for (const Flag& flag : table_)
            if (name == flag.name) return *flag.alias_of ? by_name(flag.alias_of) : &flag;
        return nullptr;
    }
    const Flag* by_shorthand(char letter) const {
        for (const Flag& flag : table_)
            if (letter == flag.shorthand) return &flag;
        return nullptr;
    }

    Result<void> long_flag(std::string_view word) {
        const auto [name, value] = split_once(word, '=');
        if (name.empty() || name[0] == '-')
            return fail(ErrorKind::invalid, "bad flag syntax: --{}", word);
        if (name == "help") {
            parsed_.help = true;
            return {};
        }
        const Flag* flag = by_name(name);
        if (!flag) return fail(ErrorKind::invalid, "unknown flag: --{}", name);
        if (word.size() > name.size()) return parsed_.flags.set(*flag, std::string(value));
        if (flag->kind == FlagKind::toggle) return parsed_.flags.set(*flag, "true");
        if (next_ == line_.size())
            return fail(ErrorKind::invalid, "flag needs an argument: --{}", name);
        return parsed_.flags.set(*flag, line_[next_++]);
    }

    /// "-it", "-eNAME=1", "-e=NAME", "-e NAME": what follows a letter that takes a value is it.
    Result<void> short_flags(const std::string& word) {
        for (std::size_t at = 1; at < word.size(); ++at) {
            const Flag* flag = by_shorthand(word[at]);
            if (!flag && word[at] == 'h') {
                parsed_.help = true;
                return {};
            }
            if (!flag)
                return fail(ErrorKind::invalid, "unknown shorthand flag: '{}' in {}", word[at],
                            word);
            const bool has_value = at + 1 < word.size();
            if (has_value && word[at + 1] == '=')
                return parsed_.flags.set(*flag, word.substr(at + 2));
            if (flag->kind == FlagKind::toggle) {
                TRY(parsed_.flags.set(*flag, "true"));
                continue;
            }
            if (has_value) return parsed_.flags.set(*flag, word.substr(at + 1));
            if (next_ == line_.size())
                return fail(ErrorKind::invalid, "flag needs an argument: '{}' in {}", word[at],
                            word);
            return parsed_.flags.set(*flag, line_[next_++]);
        }
        return {};
    }

    std::span<const Flag> table_;
    std::span<const std::string> line_;
    FlagOrder order_;
    std::size_t next_ = 0;
    ParsedLine parsed_;
};

const char* type_name(const Flag& flag) {
    if (*flag.type) return flag.type;
    switch (flag.kind) {
        case FlagKind::toggle:
            return "";
        case FlagKind::text:
            return "string";
        case FlagKind::list:
            return "list";
        case FlagKind::integer:
            return "int";
        case FlagKind::size:
        case FlagKind::swap:
            return "bytes";
        case FlagKind::duration:
            return "duration";
    }
    return "";
}

std::string usage_of(const Flag& flag) {
    std::string out = flag.shorthand ? fmt::format("  -{}, --{}", flag.shorthand, flag.name)
                                     : fmt::format("      --{}", flag.name);
    if (*type_name(flag)) out += fmt::format(" {}", type_name(flag));
    return out;
}

std::string explanation_of(const Flag& flag) {
    std::string out = flag.help;
    if (!*flag.fallback) return out;
    if (flag.kind == FlagKind::text) return out + fmt::format(" (default \"{}\")", flag.fallback);
    return out + fmt::format(" (default {})", flag.fallback);
}

/// Breaks text at spaces into lines of at most `width`; line breaks of its own are kept.
std::vector<std::string> wrap(const std::string& text, std::size_t width) {
    std::vector<std::string> lines;
    for (const std::string& paragraph : split(text, '\n')) {
        std::string line;
        for (const std::string& word : split(paragraph, ' ')) {
            if (!line.empty() && line.size() + 1 + word.size() > width) {
                lines.push_back(std::move(line));
                line.clear();
            }
            line += line.empty() ? word : " " + word;
        }
        lines.push_back(std::move(line));
    }
    return lines;
}

}  // namespace

Result<bool> parse_bool(std::string_view text) {
    constexpr std::array yes = {"1", "t", "T", "true", "TRUE", "True"};
    constexpr std::array no = {"0", "f", "F", "false", "FALSE", "False"};
    if (std::ranges::find(yes, text) != yes.end()) return true;
    if (std::ranges::find(no, text) != no.end()) return false;
    return fail(ErrorKind::invalid, "strconv.ParseBool: parsing \"{}\": invalid syntax", text);
}

FlagValues::FlagValues(std::span<const Flag> table) {
    entries_.reserve(table.size());
    for (const Flag& flag : table) {
        entries_.push_back({&flag, {}, false});
        if (*flag.fallback) entries_.back().values.emplace_back(flag.fallback);
    }
}

const FlagValues::Entry& FlagValues::find(std::string_view name) const {
    static const Entry none{nullptr, {}, false};
    for (const Entry& entry : entries_)
        if (name == entry.flag->name) return entry;
    return none;
}

bool FlagValues::given(std::string_view name) const {
    return find(name).given;
}

const std::string& FlagValues::text(std::string_view name) const {
    static const std::string none;
    const auto& values = find(name).values;
    return values.empty() ? none : values.back();
}

const std::vector<std::string>& FlagValues::list(std::string_view name) const {
    return find(name).values;
}

bool FlagValues::on(std::string_view name) const {
    return parse_bool(text(name)).value_or(false);
}
std::int64_t FlagValues::integer(std::string_view name) const {
    return parse_number(text(name)).value_or(0);
}
std::int64_t FlagValues::size(std::string_view name) const {
    return parse_size_flag(text(name), true).value_or(0);
}
std::int64_t FlagValues::nanoseconds(std::string_view name) const {
    return parse_duration(text(name), name).value_or(std::chrono::nanoseconds(0)).count();
}

Result<void> FlagValues::set(const Flag& flag, std::string value) {
    const bool usual = *flag.fallback && value == flag.fallback;
    if (*flag.refused && !usual)
        return fail(ErrorKind::unsupported, "--{} is not supported: {}", flag.name, flag.refused);
    if (const auto checked = check_value(flag.kind, value); !checked)
        return fail(ErrorKind::invalid, "invalid argument \"{}\" for \"{}\" flag: {}", value,
                    display_name(flag), checked.error().message());
    const auto entry = std::ranges::find(entries_, &flag, &Entry::flag);
    if (!entry->given || flag.kind != FlagKind::list) entry->values.clear();
    entry->given = true;
    entry->values.push_back(std::move(value));
    return {};
}

Result<ParsedLine> parse_flags(std::span<const Flag> table, std::span<const std::string> line,
                               FlagOrder order) {
    return Parser(table, line, order).run();
}

std::string describe_flags(std::span<const Flag> table) {
    constexpr std::size_t line_width = 80;
    std::size_t column = 0;
    for (const Flag& flag : table)
        if (!*flag.alias_of && !*flag.refused) column = std::max(column, usage_of(flag).size() + 3);
    std::string out;
    for (const Flag& flag : table) {
        if (*flag.alias_of || *flag.refused) continue;
        std::string lead = usage_of(flag);
        for (const std::string& line : wrap(explanation_of(flag), line_width - column)) {
            out += fmt::format("{:<{}}{}\n", lead, column, line);
            lead.clear();
        }
    }
    return out;
}

}  // namespace corten::cli
