#pragma once
// Command line flags as data. A verb's flags are one constexpr table that drives both parsing and
// help, so that no flag can be parsed and not documented. The syntax is that of docker's command
// (the pflag library): -it groups, -eX=1 and -e X=1, --name=x and --name x, "--" ends the flags.
#include <base/result.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten::cli {

enum class FlagKind {
    toggle,  ///< --rm, --rm=false
    text,
    list,  ///< may be given several times
    integer,
    size,      ///< "64m", powers of 1024
    swap,      ///< a size, or -1
    duration,  ///< "1m30s"
};

struct Flag {
    const char* name;
    char shorthand = 0;
    FlagKind kind = FlagKind::toggle;
    const char* help = "";
    const char* type = "";      ///< the value's name in the help; the kind's own when empty
    const char* fallback = "";  ///< the value when the flag is not given
    const char* alias_of = "";  ///< a second, hidden name of another flag
    const char* refused = "";   ///< why a flag of docker's is not supported, but with its fallback
};

/// Scripts that say what is so anyway are right.
inline constexpr Flag content_trust_flag{"disable-content-trust",
                                         0,
                                         FlagKind::toggle,
                                         "",
                                         "",
                                         "true",
                                         "",
                                         "signatures (Notary) are not checked"};

/// The flags of one invocation. Values were checked for their kind when they were parsed.
class FlagValues {
public:
    FlagValues() = default;
    explicit FlagValues(std::span<const Flag> table);

    bool given(std::string_view name) const;
    bool on(std::string_view name) const;
    const std::string& text(std::string_view name) const;
    const std::vector<std::string>& list(std::string_view name) const;
    std::int64_t integer(std::string_view name) const;  ///< 0 when there is no value
    std::int64_t size(std::string_view name) const;     ///< bytes; -1 only for swap
    std::int64_t nanoseconds(std::string_view name) const;

    /// Takes one value for a flag; an error says which flag did not like it.
    Result<void> set(const Flag& flag, std::string value);

private:
    struct Entry {
        const Flag* flag;
        std::vector<std::string> values;
        bool given = false;
    };
    const Entry& find(std::string_view name) const;

    std::vector<Entry> entries_;
};

/// Where flags may stand.
enum class FlagOrder {
    anywhere,          ///< `rm x -f`
    before_arguments,  ///< `run IMAGE ls -l`: the first argument ends the flags
};

struct ParsedLine {
    FlagValues flags;
    std::vector<std::string> arguments;
    bool help = false;
};

/// Errors are ErrorKind::invalid and worded as docker's.
Result<ParsedLine> parse_flags(std::span<const Flag> table, std::span<const std::string> line,
                               FlagOrder order);

/// The options part of a help text: one paragraph per visible flag.
std::string describe_flags(std::span<const Flag> table);

/// Go's strconv.ParseBool: 1 t T true ... 0 f F false ...
Result<bool> parse_bool(std::string_view text);

}  // namespace corten::cli
