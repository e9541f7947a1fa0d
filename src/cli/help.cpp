#include "command.hpp"

#include <base/text.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

/// The names under which people look first.
constexpr std::string_view common[] = {"run",   "exec",   "ps",      "pull", "images", "logs",
                                       "login", "logout", "version", "info", "explain"};

bool is_common(const Command& command) {
    return std::ranges::find(common, command.name) != std::end(common);
}

std::string command_list(std::span<const Command> commands, auto&& wanted) {
    std::size_t width = 0;
    for (const Command& command : commands)
        if (!command.hidden) width = std::max(width, std::string_view(command.name).size());
    std::string out;
    for (const Command& command : commands)
        if (!command.hidden && wanted(command))
            out += fmt::format("  {:<{}} {}\n", command.name, width + 1, command.summary);
    return out;
}

/// "command  # what for": the comments stand in one column.
std::string example_list(std::string_view examples) {
    std::string out;
    for (const std::string& line : split(examples, '\n')) {
        const auto at = line.find("  #");
        if (at == std::string::npos) {
            out += fmt::format("  {}\n", line);
        } else {
            out += fmt::format("  # {}\n", trim(std::string_view(line).substr(at + 3)));
            out += fmt::format("  {}\n", trim(std::string_view(line).substr(0, at)));
        }
    }
    return out;
}

}  // namespace

std::string usage_lines(const Command& command, const std::string& path) {
    if (!command.children.empty()) return fmt::format("Usage:  {} COMMAND\n", path);
    std::string out;
    std::string_view lead = "Usage:";
    for (const std::string& form : split(command.usage, '\n')) {
        out += fmt::format("{:<7} {}{}{}\n", lead, path, form.empty() ? "" : " ", form);
        lead = "";
    }
    return out;
}

std::string help_text(const Command& command, const std::string& path) {
    std::string out = usage_lines(command, path) + fmt::format("\n{}\n", command.summary);
    if (!command.children.empty()) {
        out += "\nCommands:\n" + command_list(command.children, [](const auto&) { return true; });
        return out +
               fmt::format("\nRun '{} COMMAND --help' for more information on a command.\n", path);
    }
    if (!command.flags.empty()) out += "\nOptions:\n" + describe_flags(command.flags);
    if (*command.examples) out += "\nExamples:\n" + example_list(command.examples);
    return out;
}

std::string overview_text(std::span<const Flag> global_flags) {
    const auto commands = all_commands();
    std::string out = "Usage:  corten [OPTIONS] COMMAND\n\nRuns and manages containers\n";
    out += "\nCommon Commands:\n" + command_list(commands, is_common);
    out += "\nManagement Commands:\n" +
           command_list(commands, [](const Command& c) { return !c.children.empty(); });
    out += "\nCommands:\n" + command_list(commands, [](const Command& c) {
               return c.children.empty() && !is_common(c);
           });
    out += "\nGlobal Options:\n" + describe_flags(global_flags);
    out += "\nFirst steps:\n" +
           example_list(
               "corten run -it --rm debian bash  # A shell in a new container\n"
               "corten run -d --name web -p 8080:80 nginx  # A server, published on port 8080\n"
               "corten explain web  # What the engine did to this machine for it");
    return out + "\nRun 'corten COMMAND --help' for more information on a command.\n";
}

namespace {

Error wrong_count(const Command& command, const std::string& path, std::string_view wanted) {
    return fail(ErrorKind::invalid, "corten: '{}' {}\n\n{}\nRun '{} --help' for more information",
                path, wanted, usage_lines(command, path), path);
}

std::string_view plural(int count) {
    return count == 1 ? "" : "s";
}

}  // namespace

Result<void> check_arguments(const Command& command, const std::string& path, std::size_t count) {
    const auto given = static_cast<int>(count);
    const int least = command.min_arguments;
    const int most = command.max_arguments;
    if (given >= least && (most == any_number || given <= most)) return {};
    if (most == 0) return wrong_count(command, path, "accepts no arguments");
    if (most == any_number)
        return wrong_count(command, path,
                           fmt::format("requires at least {} argument{}", least, plural(least)));
    if (least == most)
        return wrong_count(command, path,
                           fmt::format("requires {} argument{}", least, plural(least)));
    if (given > most)
        return wrong_count(command, path,
                           fmt::format("requires at most {} argument{}", most, plural(most)));
    return wrong_count(command, path,
                       fmt::format("requires at least {} argument{}", least, plural(least)));
}

}  // namespace corten::cli
