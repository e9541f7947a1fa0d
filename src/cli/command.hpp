#pragma once
// A verb as data: its names, usage, flags, examples and function. The tree of all verbs is in
// commands.cpp; help is made from the same tables.
#include "flags.hpp"

#include <base/result.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten::cli {

class Context;

using Verb = Result<int> (*)(Context& context, const ParsedLine& line);

constexpr int any_number = -1;

struct Command {
    const char* name;
    const char* summary;
    /// What follows the verb's name in "Usage:"; several lines for several forms.
    const char* usage = "";
    std::span<const Flag> flags = {};
    int min_arguments = 0;
    int max_arguments = 0;  ///< any_number: no limit
    Verb run = nullptr;
    /// "command  # what it does", one per line.
    const char* examples = "";
    FlagOrder order = FlagOrder::anywhere;
    /// Other names in the same group, separated by spaces ("list ps").
    const char* aliases = "";
    std::span<const Command> children = {};
    bool hidden = false;
};

/// The commands of the top level.
std::span<const Command> all_commands();
const Command* find_command(std::span<const Command> commands, std::string_view name);

/// `path` is the full name with the program: "corten network create".
std::string help_text(const Command& command, const std::string& path);
std::string overview_text(std::span<const Flag> global_flags);
std::string usage_lines(const Command& command, const std::string& path);

/// The words before a verb's name must be known to find flags like -H.
std::span<const Flag> global_flags();

/// Checks the number of arguments; the error is worded as docker's.
Result<void> check_arguments(const Command& command, const std::string& path, std::size_t count);

}  // namespace corten::cli
