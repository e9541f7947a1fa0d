#include "command.hpp"
#include "context.hpp"
#include "exit_code.hpp"

#include <base/text.hpp>
#include <cli/main.hpp>

#include <cstdlib>

namespace corten::cli {

namespace {

std::string config_folder(const FlagValues& flags) {
    if (flags.given("config")) return flags.text("config");
    if (const char* folder = std::getenv("DOCKER_CONFIG"); folder && *folder) return folder;
    const char* home = std::getenv("HOME");
    return std::string(home ? home : "/root") + "/.docker";
}

Context make_context(const FlagValues& flags) {
    return Context({.address = flags.text("host"),
                    .tls = flags.on("tls"),
                    .tls_verify = flags.on("tlsverify"),
                    .ca_file = flags.text("tlscacert"),
                    .certificate_file = flags.text("tlscert"),
                    .key_file = flags.text("tlskey")},
                   config_folder(flags));
}

int report_usage_error(const Error& error, const std::string& usage, const std::string& path) {
    print_error(fmt::format("{}\n\n{}\nRun '{} --help' for more information", error.message(),
                            usage, path));
    return exit_daemon_error;
}

int unknown_command(const std::string& path, const std::string& name) {
    print_error(
        fmt::format("corten: unknown command: {} {}\n\nRun '{} --help' for more information", path,
                    name, path));
    return 1;
}

int run_verb(const Command& command, const std::string& path, std::span<const std::string> words,
             const FlagValues& globals) {
    const auto line = parse_flags(command.flags, words, command.order);
    if (!line) return report_usage_error(line.error(), usage_lines(command, path), path);
    if (line->help) {
        print(help_text(command, path));
        return 0;
    }
    if (const auto fits = check_arguments(command, path, line->arguments.size()); !fits) {
        print_error(fits.error().message());
        return 1;
    }
    Context context = make_context(globals);
    const auto code = command.run(context, *line);
    if (code) return *code;
    print_error(code.error().message());
    return 1;
}

/// Walks down the groups: "network create x".
int dispatch(std::span<const Command> commands, const std::string& path,
             std::span<const std::string> words, const FlagValues& globals) {
    const Command* command = find_command(commands, words[0]);
    if (!command) return unknown_command(path, words[0]);
    const std::string deeper = path + " " + command->name;
    const auto rest = words.subspan(1);
    if (command->children.empty()) return run_verb(*command, deeper, rest, globals);
    const bool wants_help = rest.empty() || rest[0] == "--help" || rest[0] == "-h";
    if (!wants_help) return dispatch(command->children, deeper, rest, globals);
    print(help_text(*command, deeper));
    return 0;
}

/// `corten help network create` is `corten network create --help`.
int show_help(std::span<const std::string> words, const FlagValues& globals) {
    if (words.empty()) {
        print(overview_text(global_flags()));
        return 0;
    }
    std::vector<std::string> line(words.begin(), words.end());
    line.emplace_back("--help");
    return dispatch(all_commands(), "corten", line, globals);
}

}  // namespace

int run_command_line(const std::vector<std::string>& words) {
    const auto line = parse_flags(global_flags(), words, FlagOrder::before_arguments);
    if (!line)
        return report_usage_error(line.error(), "Usage:  corten [OPTIONS] COMMAND [ARG...]\n",
                                  "corten");
    if (line->flags.on("version")) {
        print("Corten version " CORTEN_VERSION "\n");
        return 0;
    }
    const std::span<const std::string> rest = line->arguments;
    if (line->help || rest.empty()) return show_help({}, line->flags);
    if (rest[0] == "help") return show_help(rest.subspan(1), line->flags);
    return dispatch(all_commands(), "corten", rest, line->flags);
}

}  // namespace corten::cli
