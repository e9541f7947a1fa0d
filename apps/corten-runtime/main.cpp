// corten-runtime: an OCI runtime with runc's command line. Here is only the command line; each
// command is a function in commands.hpp.
#include "commands.hpp"
#include "inherited.hpp"
#include "store.hpp"

#include <CLI/CLI.hpp>
#include <base/text.hpp>
#include <runtime/sealed.hpp>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace corten::runtime_cli {
namespace {

using Action = std::function<Result<int>()>;

struct Program {
    CLI::App app{"runs containers as the Open Container Initiative specifies"};
    Global global;
    Action action;

    /// `run` is what becomes an Action.
    template <typename Run>
    CLI::App* command(const char* name, const char* help, Run run) {
        CLI::App* sub = app.add_subcommand(name, help);
        sub->callback([this, run = std::move(run)] { action = run; });
        return sub;
    }
};

void add_globals(Program& program) {
    auto& global = program.global;
    global.root = default_root();
    auto& app = program.app;
    app.add_option("--root", global.root, "directory for the state of containers");
    app.add_option("--log", global.log, "log file (default: standard error)");
    app.add_option("--log-format", global.log_format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    app.add_flag("--debug", global.debug, "log more");
    app.add_flag("--systemd-cgroup", global.systemd_cgroup, "let systemd make the cgroup");
    app.add_option("--rootless", global.rootless, "true, false or auto")
        ->check(CLI::IsMember({"true", "false", "auto"}));
    app.add_flag("--timings", global.timings, "print how long each phase took");
    app.require_subcommand(1);
}

void add_preserve_fds(CLI::App* sub, Global& global) {
    sub->add_option("--preserve-fds", global.preserve_fds, "how many descriptors from 3 on to pass")
        ->check(CLI::Range(0, 4096));
}

void add_create_options(CLI::App* sub, CreateOptions& options, Global& global) {
    sub->add_option("-b,--bundle", options.bundle, "directory of the bundle (default: here)");
    sub->add_option("--console-socket", options.console_socket,
                    "unix socket that gets the terminal");
    sub->add_option("--pidfd-socket", options.pidfd_socket,
                    "unix socket that gets a descriptor of the process");
    sub->add_option("--pid-file", options.pid_file, "file to write the process id to");
    add_preserve_fds(sub, global);
    sub->add_flag("--no-pivot", options.no_pivot, "do not use pivot_root");
    sub->add_flag("--no-new-keyring", options.no_new_keyring, "keep the caller's session keyring");
    sub->add_option("container-id", options.id)->required();
}

void add_create_and_run(Program& program) {
    auto made = std::make_shared<CreateOptions>();
    add_create_options(program.command("create", "make a container",
                                       [&program, made] { return create(program.global, *made); }),
                       *made, program.global);
    auto ran = std::make_shared<CreateOptions>();
    CLI::App* sub = program.command("run", "make a container and start it",
                                    [&program, ran] { return run(program.global, *ran); });
    add_create_options(sub, *ran, program.global);
    sub->add_flag("-d,--detach", ran->detach, "do not wait for its end");
    sub->add_flag("--keep", ran->keep, "do not delete it at its end");
    sub->add_flag("--no-subreaper", ran->no_subreaper, "do not adopt orphans");
}

CLI::App* add_id(CLI::App* sub, std::string& id) {
    sub->add_option("container-id", id)->required();
    return sub;
}

void add_lifecycle(Program& program) {
    auto id = std::make_shared<std::string>();
    const auto simple = [&](const char* name, const char* help,
                            Result<int> (*run)(const Global&, const std::string&)) {
        add_id(
            program.command(name, help, [&program, id, run] { return run(program.global, *id); }),
            *id);
    };
    simple("start", "start a container that was made", start);
    simple("pause", "freeze a container", pause);
    simple("resume", "thaw a container", resume);
    simple("state", "print a container's state", state);
    auto force = std::make_shared<bool>(false);
    CLI::App* sub = add_id(
        program.command("delete", "delete a container",
                        [&program, id, force] { return remove(program.global, *id, *force); }),
        *id);
    sub->add_flag("-f,--force", *force, "kill it first; no error when it does not exist");
    auto signal = std::make_shared<std::string>("SIGTERM");
    auto all = std::make_shared<bool>(false);
    sub = add_id(program.command("kill", "send a signal",
                                 [&program, id, signal, all] {
                                     return kill(program.global, *id, *signal, *all);
                                 }),
                 *id);
    sub->add_option("signal", *signal);
    sub->add_flag("-a,--all", *all, "to all processes of the container");
}

void add_exec(Program& program) {
    auto options = std::make_shared<ExecOptions>();
    CLI::App* sub = program.command("exec", "run one more process", nullptr);
    // The first word after the container's name, and all that follows, is the command, whatever it
    // looks like: it must not be declared, or options among it would be taken for ours.
    sub->prefix_command()->callback([&program, sub, options] {
        const auto rest = sub->remaining();
        options->args.insert(options->args.end(), rest.begin(), rest.end());
        program.action = [&program, options] { return exec(program.global, *options); };
    });
    sub->add_option("--console-socket", options->console_socket);
    sub->add_option("--pidfd-socket", options->pidfd_socket);
    sub->add_option("--cwd", options->cwd);
    sub->add_option("-e,--env", options->env)->allow_extra_args(false);
    sub->add_flag("-t,--tty", options->tty);
    sub->add_option("-u,--user", options->user, "uid[:gid]");
    sub->add_option("-g,--additional-gids", options->additional_gids)->allow_extra_args(false);
    sub->add_option("-p,--process", options->process, "file with the process, as JSON");
    sub->add_flag("-d,--detach", options->detach);
    sub->add_option("--pid-file", options->pid_file);
    sub->add_option("--process-label", options->process_label);
    sub->add_option("--apparmor", options->apparmor);
    sub->add_flag("--no-new-privs", options->no_new_privs);
    sub->add_option("-c,--cap", options->capabilities)->allow_extra_args(false);
    add_preserve_fds(sub, program.global);
    sub->add_option("--cgroup", options->cgroups, "[controller,...:]path below the container's")
        ->allow_extra_args(false);
    sub->add_flag("--ignore-paused", options->ignore_paused);
    add_id(sub, options->id);
}

void add_listing(Program& program) {
    auto format = std::make_shared<std::string>("table");
    auto quiet = std::make_shared<bool>(false);
    auto id = std::make_shared<std::string>();
    auto rest = std::make_shared<std::vector<std::string>>();
    CLI::App* sub = program.command("list", "list containers", [&program, format, quiet] {
        return list(program.global, *format, *quiet);
    });
    sub->add_option("-f,--format", *format, "table or json");
    sub->add_flag("-q,--quiet", *quiet, "ids only");
    sub = program.command("ps", "list a container's processes", nullptr);
    sub->prefix_command()->callback([&program, sub, format, id, rest] {
        const auto more = sub->remaining();
        rest->insert(rest->end(), more.begin(), more.end());
        program.action = [&program, format, id, rest] {
            return processes(program.global, *id, *format, *rest);
        };
    });
    sub->add_option("-f,--format", *format, "table or json");
    add_id(sub, *id);
    auto stats = std::make_shared<bool>(false);
    auto interval = std::make_shared<std::string>("5s");
    sub = add_id(program.command("events", "show usage and out-of-memory events",
                                 [&program, id, stats, interval] {
                                     return events(program.global, *id, *stats, *interval);
                                 }),
                 *id);
    sub->add_flag("--stats", *stats, "print the numbers once");
    sub->add_option("--interval", *interval, "time between numbers");
}

void add_update(Program& program) {
    auto options = std::make_shared<UpdateOptions>();
    CLI::App* sub =
        add_id(program.command("update", "change limits",
                               [&program, options] { return update(program.global, *options); }),
               options->id);
    sub->add_option("-r,--resources", options->resources, "file with the limits, as JSON");
    sub->add_option("--memory", options->memory);
    sub->add_option("--memory-reservation", options->memory_reservation);
    sub->add_option("--memory-swap", options->memory_swap);
    sub->add_option("--kernel-memory", options->kernel_memory);
    sub->add_option("--cpu-period", options->cpu_period);
    sub->add_option("--cpu-quota", options->cpu_quota);
    sub->add_option("--cpu-burst", options->cpu_burst);
    sub->add_option("--cpu-share", options->cpu_share);
    sub->add_option("--cpu-rt-period", options->cpu_rt_period);
    sub->add_option("--cpu-rt-runtime", options->cpu_rt_runtime);
    sub->add_option("--cpu-idle", options->cpu_idle);
    sub->add_option("--cpuset-cpus", options->cpuset_cpus);
    sub->add_option("--cpuset-mems", options->cpuset_mems);
    sub->add_option("--blkio-weight", options->blkio_weight);
    sub->add_option("--pids-limit", options->pids_limit);
    sub->add_option("--l3-cache-schema", options->l3_cache_schema);
    sub->add_option("--mem-bw-schema", options->mem_bw_schema);
}

void add_others(Program& program) {
    auto bundle = std::make_shared<std::string>();
    auto rootless = std::make_shared<bool>(false);
    CLI::App* sub = program.command("spec", "write a config.json to begin with",
                                    [bundle, rootless] { return make_spec(*bundle, *rootless); });
    sub->add_option("-b,--bundle", *bundle);
    sub->add_flag("--rootless", *rootless);
    program.command("features", "print what this runtime can do", [] { return features(); });
}

void add_criu_options(CLI::App* sub, CriuOptions& options) {
    sub->add_option("--image-path", options.image_path, "directory of the images");
    sub->add_option("--work-path", options.work_path, "directory of criu's log");
    sub->add_flag("--tcp-established", options.tcp_established, "allow open TCP connections");
    sub->add_flag("--ext-unix-sk", options.ext_unix_sk, "allow unix sockets with a peer outside");
    sub->add_flag("--shell-job", options.shell_job, "allow a terminal of the caller");
    sub->add_flag("--file-locks", options.file_locks, "allow locks on files");
    sub->add_flag("--auto-dedup", options.auto_dedup, "free pages that are in newer images");
    sub->add_flag("--lazy-pages", options.lazy_pages,
                  "hand the memory on page by page, as it is used (see criu lazy-pages)");
    sub->add_flag("--link-remap", options.link_remap, "save files that are unlinked and open");
    sub->add_flag("--tcp-skip-in-flight", options.tcp_skip_in_flight,
                  "leave out TCP connections that are being made");
    sub->add_option("--manage-cgroups-mode", options.manage_cgroups_mode,
                    "soft, full, strict or ignore");
    sub->add_option("--empty-ns", options.empty_ns, "a namespace to leave empty: network")
        ->allow_extra_args(false);
    add_id(sub, options.id);
}

void add_criu(Program& program) {
    auto saved = std::make_shared<CheckpointOptions>();
    CLI::App* sub =
        program.command("checkpoint", "save a running container and end it",
                        [&program, saved] { return checkpoint(program.global, *saved); });
    sub->add_option("--parent-path", saved->parent_path, "the images before, from the image path");
    sub->add_option("--page-server", saved->page_server, "ADDRESS:PORT that gets the memory");
    sub->add_option("--status-fd", saved->status_fd,
                    "with --lazy-pages: gets a zero byte when the pages can be had");
    sub->add_flag("--leave-running", saved->leave_running, "do not end it");
    sub->add_flag("--pre-dump", saved->pre_dump, "save only the memory, and do not end it");
    add_criu_options(sub, saved->criu);
    auto made = std::make_shared<RestoreOptions>();
    sub = program.command("restore", "go on with a container that was saved",
                          [&program, made] { return restore(program.global, *made); });
    sub->add_option("-b,--bundle", made->bundle, "directory of the bundle (default: here)");
    sub->add_option("--console-socket", made->console_socket, "unix socket that gets the terminal");
    sub->add_option("--pid-file", made->pid_file, "file to write the process id to");
    sub->add_flag("-d,--detach", made->detach, "do not wait for its end");
    sub->add_flag("--no-subreaper", made->no_subreaper, "do not adopt orphans");
    sub->add_option("--lsm-profile", made->lsm_profile, "apparmor:NAME or selinux:LABEL");
    sub->add_option("--lsm-mount-context", made->lsm_mount_context, "SELinux context of mounts");
    sub->add_flag("--no-pivot", made->no_pivot, "without effect: criu changes the root");
    add_criu_options(sub, made->criu);
}

bool lists_word(std::string_view list, std::string_view word) {
    const auto words = split(list, ' ');
    return std::ranges::find(words, word) != words.end();
}

/// The first word that is no option, nor the value of one that stands before the command.
std::string_view command_of(int argc, char* const* argv) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (!word.starts_with('-')) return word;
        const bool takes_value =
            word == "--root" || word == "--log" || word == "--log-format" || word == "--rootless";
        if (takes_value) ++i;
    }
    return "";
}

/// Only what can be called: describing all commands takes longer than most of them. Without a name
/// (the program's own help) it is all of them.
Result<void> add_commands(Program& program, std::string_view name) {
    const std::pair<std::string_view, void (*)(Program&)> groups[] = {
        {"create run", add_create_and_run},
        {"start pause resume state delete kill", add_lifecycle},
        {"exec", add_exec},
        {"list ps events", add_listing},
        {"update", add_update},
        {"spec features", add_others},
        {"checkpoint restore", add_criu}};
    const bool known = std::ranges::any_of(
        groups, [&](const auto& group) { return lists_word(group.first, name); });
    if (!known && !name.empty())
        return fail(ErrorKind::invalid, "No help topic for '{}': there is no such command", name);
    for (const auto& [names, add] : groups)
        if (!known || lists_word(names, name)) add(program);
    return {};
}

/// These take the descriptors of socket activation along.
bool starts_container(std::string_view command) {
    return command == "create" || command == "run";
}

/// "help COMMAND" is "COMMAND --help", as with runc.
std::vector<char*> without_help_command(std::vector<char*> words) {
    static char option[] = "--help";
    const auto command = command_of(static_cast<int>(words.size()), words.data());
    if (command != "help") return words;
    const auto topic = words.erase(std::ranges::find(words, command.data()));
    words.insert(topic == words.end() ? topic : topic + 1, option);
    return words;
}

Result<int> run_program(const std::vector<char*>& words) {
    const int argc = static_cast<int>(words.size());
    char* const* argv = words.data();
    Program program;
    add_globals(program);
    const auto command = command_of(argc, argv);
    TRY(add_commands(program, command));
    program.app.set_version_flag("-v,--version",
                                 fmt::format("corten-runtime version {}\nspec: {}", CORTEN_VERSION,
                                             oci::runtime_spec_version));
    try {
        program.app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return program.app.exit(error) == 0 ? 0 : 1;
    }
    auto& global = program.global;
    if (starts_container(command)) global.listen_fds = listen_fds();
    TRY(check_inherited(global.listen_fds + global.preserve_fds));
    TRY(open_log(global.log, global.log_format == "json" ? LogFormat::json : LogFormat::text,
                 global.debug));
    return program.action();
}

/// These put a process of ours into a container.
bool enters_container(std::string_view command) {
    return starts_container(command) || command == "exec" || command == "restore";
}

}  // namespace
}  // namespace corten::runtime_cli

int main(int argc, char** argv) {
    using namespace corten;
    const auto command = runtime_cli::command_of(argc, argv);
    const auto failed = [&](const Error& error) {
        runtime_cli::log_fatal(error.message());
        // exec's failures must differ from what the process itself can return.
        return command == "exec" ? 255 : 1;
    };
    const auto streams = runtime_cli::open_missing_streams();
    if (!streams) return failed(streams.error());
    if (runtime_cli::enters_container(command)) {
        const auto sealed = runtime::run_sealed(argv);
        if (!sealed) return failed(sealed.error());
    }
    // Memory is never given back before the end, which comes soon.
    ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
    ::mallopt(M_TOP_PAD, 512 << 10);
    const auto code = runtime_cli::run_program(
        runtime_cli::without_help_command(std::vector<char*>(argv, argv + argc)));
    return code ? *code : failed(code.error());
}
