#include "commands.hpp"
#include "console.hpp"
#include "create_steps.hpp"
#include "seccomp_cache.hpp"
#include "store.hpp"
#include "systemd_unit.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/exec.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace corten::runtime_cli {
namespace {

Result<std::uint32_t> parse_id(std::string_view text, std::string_view what) {
    const auto number = TRY(parse_integer(text, what));
    if (number < 0 || number >= 0xffffffffLL)
        return fail(ErrorKind::invalid, "{}: {} is not an id", what, text);
    return static_cast<std::uint32_t>(number);
}

/// "uid[:gid]", numbers only: a name would have to be looked up in files of the container, and a
/// half-understood one must not become some other user (CVE-2026-30892).
Result<void> set_user(oci::User& user, const std::string& text) {
    if (text.empty()) return {};
    const auto [uid, gid] = split_once(text, ':');
    user.uid = TRY(parse_id(uid, "--user"));
    if (text.find(':') != std::string::npos) user.gid = TRY(parse_id(gid, "--user"));
    return {};
}

void add_unique(std::vector<std::string>& list, const std::string& name) {
    if (std::ranges::find(list, name) == list.end()) list.push_back(name);
}

/// Not the inheritable set (CVE-2022-29162); the ambient one only where that has it already.
void add_capabilities(oci::Process& process, const std::vector<std::string>& names) {
    if (names.empty()) return;
    if (!process.capabilities) process.capabilities.emplace();
    for (const auto& name : names) {
        add_unique(process.capabilities->bounding, name);
        add_unique(process.capabilities->effective, name);
        add_unique(process.capabilities->permitted, name);
        const auto& inheritable = process.capabilities->inheritable;
        if (std::ranges::find(inheritable, name) != inheritable.end())
            add_unique(process.capabilities->ambient, name);
    }
}

Result<oci::Process> process_from(const ExecOptions& options, const oci::Spec& spec) {
    const oci::Process own = spec.process.value_or(oci::Process{});
    if (!options.process.empty()) {
        auto process =
            TRY(parse_as<oci::Process>(TRY(sys::read_file(options.process)), options.process));
        if (!process.capabilities) process.capabilities = own.capabilities;
        return process;
    }
    oci::Process process = own;
    process.args = options.args;
    process.terminal = options.tty;
    process.console_size.reset();
    if (!options.cwd.empty()) process.cwd = options.cwd;
    process.env.insert(process.env.end(), options.env.begin(), options.env.end());
    if (options.no_new_privs) process.no_new_privileges = true;
    if (!options.apparmor.empty()) process.apparmor_profile = options.apparmor;
    if (!options.process_label.empty()) process.selinux_label = options.process_label;
    TRY(set_user(process.user, options.user));
    for (const auto& gid : options.additional_gids)
        process.user.additional_gids.push_back(TRY(parse_id(gid, "--additional-gids")));
    add_capabilities(process, options.capabilities);
    return process;
}

Result<void> check_state(Status status, const ExecOptions& options) {
    if (status == Status::stopped)
        return fail(ErrorKind::conflict, "cannot exec in a stopped container");
    if (status == Status::paused && !options.ignore_paused)
        return fail(ErrorKind::conflict,
                    "cannot exec in a paused container (use --ignore-paused to override)");
    return {};
}

Result<void> check_terminal(const oci::Process& process, const ExecOptions& options) {
    if (process.terminal && options.detach && options.console_socket.empty())
        return fail(ErrorKind::invalid,
                    "cannot allocate tty if runc will detach without setting console socket");
    if ((!process.terminal || !options.detach) && !options.console_socket.empty())
        return fail(ErrorKind::invalid,
                    "cannot use console socket if runc will not detach or allocate tty");
    return {};
}

/// The container's group, or what was asked for below it.
Result<cgroup::Group> group_for(const Container& container, const std::vector<std::string>& asked) {
    auto group = TRY(container.cgroup());
    for (const auto& entry : asked) {
        const bool for_all = entry.find(':') == std::string::npos;
        if (for_all && asked.size() > 1)
            return fail(ErrorKind::invalid,
                        "--cgroup: {}: one of several needs its controllers and a colon before it",
                        entry);
        const auto [controllers, path] = split_once(entry, ':');
        group = TRY((for_all ? group.below({}, entry) : group.below(split(controllers, ','), path))
                        .context("--cgroup"));
    }
    return group;
}

Result<runtime::ExecRequest> request_for(const Global& global, const ExecOptions& options,
                                         const Container& container) {
    const auto spec = TRY(container.spec());
    runtime::ExecRequest request;
    request.process = TRY(process_from(options, spec));
    TRY(check_terminal(request.process, options));
    request.container = TRY(container.process());
    request.cgroup = TRY(group_for(container, options.cgroups));
    request.exact_cgroup = !options.cgroups.empty();
    request.seccomp = spec.linux_section.seccomp;
    request.personality = spec.linux_section.personality;
    request.memory_policy = spec.linux_section.memory_policy;
    if (request.seccomp) request.seccomp_program = cached_filter(global, *request.seccomp);
    request.stdio = {FdView(STDIN_FILENO), FdView(STDOUT_FILENO), FdView(STDERR_FILENO)};
    request.stdio.keep_line_ends = options.console_socket.empty();  // ours shows them
    request.preserve_fds = global.preserve_fds;
    request.no_new_keyring = container.record().no_new_keyring;
    return request;
}

}  // namespace

Result<int> exec(const Global& global, const ExecOptions& options) {
    const auto container = TRY(Container::load(global, options.id));
    const auto status = TRY(container.status());
    TRY(check_state(status, options));
    auto request = TRY(request_for(global, options, container));
    request.state = container.state_as(status);
    if (!container.record().systemd_unit.empty()) TRY(join_manager());
    if (!options.detach) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        hold_signals();
    }
    auto started = runtime::exec(std::move(request));
    if (!started)
        return std::move(started).error().context("exec failed: unable to start container process");
    for (const auto& warning : started->warnings) log_warning(warning);
    log_debug(
        fmt::format("process {} in container {}", started->child.process().pid(), options.id));
    print_timings(global, started->timings);
    if (!options.pidfd_socket.empty())
        TRY(send_pidfd(options.pidfd_socket, "setns", started->child.process().fd()));
    TRY(write_pid_file(options.pid_file, started->child.process().pid()));
    Rollback undo;
    undo.add([&] { remove_pid_file(options.pid_file); });
    if (!options.console_socket.empty()) {
        TRY(send_console(options.console_socket, started->console_master));
        started->console_master.reset();
    }
    if (!options.detach) {
        const auto code = TRY(attend(std::move(started->child), started->console_master));
        undo.commit();
        return code;
    }
    undo.commit();
    const auto process = started->child.detach();
    log_debug(fmt::format("process {} goes on without us", process.pid()));
    return 0;
}

}  // namespace corten::runtime_cli
