#include "command.hpp"
#include "context.hpp"
#include "exit_code.hpp"

#include <base/text.hpp>
#include <cli/main.hpp>

#include <algorithm>
#include <array>
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

/// What the stock command has and this one has not, and what to do instead.
struct MissingCommand {
    std::string_view name;  ///< with its groups
    std::string_view advice;
};
constexpr std::string_view no_builds =
    "images are not built here yet: build elsewhere and load the result, commit a container, or "
    "make one of the distribution's packages with corten image bootstrap";
constexpr std::string_view no_swarm = "one daemon runs one machine's containers, there is no swarm";
constexpr std::string_view no_lists =
    "lists of manifests are not made here; a push sends all platforms of an image that are here";
constexpr MissingCommand missing_commands[] = {
    {"build", no_builds},
    {"builder", no_builds},
    {"buildx", no_builds},
    {"checkpoint",
     "of containers they are not implemented; corten-runtime makes those of a bundle"},
    {"compose",
     "use docker compose or docker-compose with DOCKER_HOST set to this daemon's socket"},
    {"config", no_swarm},
    {"context", "name the daemon with -H or DOCKER_HOST"},
    {"manifest annotate", no_lists},
    {"manifest create", no_lists},
    {"manifest push", no_lists},
    {"manifest rm", no_lists},
    {"node", no_swarm},
    {"plugin", "there are no plugins: volumes are local, networks bridges"},
    {"secret", no_swarm},
    {"service", no_swarm},
    {"stack", no_swarm},
    {"swarm", no_swarm},
    {"trust", "signatures are not checked; name an image by its digest to get exactly that one"},
};

int unknown_command(const std::string& path, const std::string& name) {
    for (const MissingCommand& missing : missing_commands)
        if (path + " " + name == fmt::format("corten {}", missing.name)) {
            print_error(
                fmt::format("corten: {} {} is not implemented: {}", path, name, missing.advice));
            return 1;
        }
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

Result<void> check_globals(const FlagValues& flags) {
    constexpr std::array levels = {"debug", "info", "warn", "error", "fatal"};
    if (std::ranges::find(levels, flags.text("log-level")) == levels.end())
        return fail(ErrorKind::invalid, "unable to parse logging level: {}",
                    flags.text("log-level"));
    if (flags.given("context") && flags.text("context") != "default")
        return fail(ErrorKind::unsupported,
                    "context \"{}\": contexts are not implemented: name the daemon with -H or "
                    "DOCKER_HOST",
                    flags.text("context"));
    return {};
}

}  // namespace

int run_command_line(const std::vector<std::string>& words) {
    const auto line = parse_flags(global_flags(), words, FlagOrder::before_arguments);
    if (!line)
        return report_usage_error(line.error(), "Usage:  corten [OPTIONS] COMMAND [ARG...]\n",
                                  "corten");
    if (const auto fits = check_globals(line->flags); !fits) {
        print_error(fits.error().message());
        return 1;
    }
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
