#include "commands.hpp"
#include "console.hpp"
#include "create_steps.hpp"
#include "notify_socket.hpp"
#include "seccomp_cache.hpp"
#include "store.hpp"

#include <base/rollback.hpp>
#include <runtime/container.hpp>
#include <runtime/rights.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>
#include <sys/socket.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace corten::runtime_cli {
namespace {

enum class Gate {
    socket,   ///< `create`: another process will start it
    channel,  ///< `run`: we start it ourselves
};

struct Made {
    runtime::Created created;
    Container container;
    oci::Spec spec;
};

bool is_rootless(const Global& global) {
    if (global.rootless == "true") return true;
    if (global.rootless == "false") return false;
    return !runtime::is_host_root();
}

Result<Record> record_of_created(const runtime::Created& created, const oci::Spec& spec,
                                 const std::string& id, const std::string& bundle) {
    auto record = record_of(spec, id, bundle);
    record.pid = created.init.process().pid();
    record.pid_start_time = TRY(process_start_time(record.pid));
    record.cgroup_path = created.cgroup.valid() ? created.cgroup.path() : "";
    record.mounts_on_host = created.mounts_on_host;
    return record;
}

runtime::LaunchRequest request_for(const Global& global, const CreateOptions& options,
                                   const oci::Spec& spec, const std::string& bundle) {
    runtime::LaunchRequest request;
    request.spec = spec;
    request.id = options.id;
    request.bundle = bundle;
    request.stdio = {FdView(STDIN_FILENO), FdView(STDOUT_FILENO), FdView(STDERR_FILENO)};
    request.stdio.keep_line_ends = options.console_socket.empty();  // ours shows them
    request.preserve_fds = global.listen_fds + global.preserve_fds;
    request.no_pivot = options.no_pivot;
    request.no_new_keyring = options.no_new_keyring;
    request.optional_cgroup = is_rootless(global) && !options.cgroup_given;
    auto& seccomp = request.spec.linux_section.seccomp;
    if (seccomp) request.seccomp_program = cached_filter(global, *seccomp);
    return request;
}

/// The descriptors of socket activation go on, and the process is told how many they are.
void tell_listen_fds(oci::Spec& spec, int count) {
    if (count == 0 || !spec.process) return;
    spec.process->env.push_back(fmt::format("LISTEN_FDS={}", count));
    spec.process->env.push_back("LISTEN_PID=1");
}

Result<Made> make(const Global& global, CreateOptions options, Gate gate, bool detached) {
    TRY(check_id(options.id));
    const auto bundle = TRY(absolute_bundle(options.bundle));
    const auto configuration = TRY(read_configuration(bundle));
    auto spec = TRY(oci::parse_spec(configuration));
    TRY(oci::validate(spec));
    TRY(check_terminal(spec, options.console_socket, detached));
    options.cgroup_given = !spec.linux_section.cgroups_path.empty();
    spec.linux_section.cgroups_path = TRY(cgroup_path(global, spec, options.id));
    tell_listen_fds(spec, global.listen_fds);
    auto creation = TRY(Creation::begin(global, options.id, configuration));
    TRY(creation.announce(TRY(traces_before(global, spec, options.id))));
    TRY(offer_notify_socket(creation.directory(), spec));
    Rollback unplace;
    Placement placed;
    auto request = request_for(global, options, spec, bundle);
    if (global.systemd_cgroup)
        request.make_cgroup = [&]() -> Result<cgroup::Group> {
            placed = TRY(place(spec, options.id, unplace));
            return placed.group;
        };
    if (gate == Gate::socket)
        request.start_listener =
            TRY(sys::listen_unix(creation.start_socket(), sys::SocketType::stream, 0600));
    auto created = TRY(runtime::create(std::move(request)));
    placed.placeholder = sys::OwnedChild();
    Rollback undo;
    undo.add([&] {
        created.init = sys::OwnedChild();  // reaped before its group goes
        created.cgroup.remove().ignore();
        if (created.mounts_on_host)
            take_mounts_away(record_of(spec, options.id, bundle).rootfs).ignore();
    });
    log_debug(fmt::format("container {}: process {}, control group \"{}\"", options.id,
                          created.init.process().pid(), created.cgroup.path()));
    print_timings(global, created.timings);
    for (const auto& warning : created.warnings) log_warning(warning);
    if (created.console_master && !options.console_socket.empty()) {
        TRY(send_console(options.console_socket, created.console_master));
        created.console_master.reset();
    }
    if (!options.pidfd_socket.empty())
        TRY(send_pidfd(options.pidfd_socket, "standard", created.init.process().fd()));
    TRY(write_pid_file(options.pid_file, created.init.process().pid()));
    undo.add([&] { remove_pid_file(options.pid_file); });
    auto record = TRY(record_of_created(created, spec, options.id, bundle));
    record.systemd_unit = placed.unit;
    record.no_new_keyring = options.no_new_keyring;
    auto container = TRY(creation.publish(std::move(record)));
    if (gate == Gate::socket) TRY(created.release());
    undo.commit();
    unplace.commit();
    creation.keep();
    return Made{std::move(created), std::move(container), std::move(spec)};
}

Error start_error(Error error) {
    return std::move(error).context("unable to start container process");
}

/// The process is started but nobody stays: it becomes the child of our parent or subreaper.
void let_go(runtime::Created& created) {
    const auto process = created.init.detach();
    log_debug(fmt::format("process {} goes on without us", process.pid()));
}

Result<int> run_attended(const CreateOptions& options, Made made,
                         const std::optional<NotifySocket>& notify) {
    Fd master = std::move(made.created.console_master);
    auto code = attend(std::move(made.created.init), master, notify);
    if (!code) remove_pid_file(options.pid_file);
    if (!options.keep)
        TRY(made.container.destroy(made.spec.hooks ? made.spec.hooks->poststop
                                                   : std::vector<oci::Hook>()));
    return code;
}

}  // namespace

Result<int> create(const Global& global, const CreateOptions& options) {
    auto made = make(global, options, Gate::socket, true);
    if (!made) return start_error(std::move(made).error());
    let_go(made->created);
    return 0;
}

Result<int> run(const Global& global, const CreateOptions& options) {
    if (!options.no_subreaper) ::prctl(PR_SET_CHILD_SUBREAPER, options.detach ? 0 : 1, 0, 0, 0);
    auto result = make(global, options, Gate::channel, options.detach);
    if (!result) return start_error(std::move(result).error());
    Made made = std::move(*result);
    if (!options.detach) hold_signals();
    auto notify = NotifySocket::open(made.container.directory());
    auto started = notify ? made.created.start() : Result<void>(notify.error());
    if (!started) {
        made.created.init = sys::OwnedChild();  // reaped before its group goes
        remove_pid_file(options.pid_file);
        const auto removed = made.container.destroy();
        if (!removed) log_warning(removed.error().message());
        return start_error(std::move(started).error());
    }
    poststart(made.container, made.spec);
    if (!options.detach) return run_attended(options, std::move(made), *notify);
    if (*notify) (*notify)->wait(made.created.init.process());
    let_go(made.created);
    return 0;
}

Result<int> start(const Global& global, const std::string& id) {
    const auto container = TRY(Container::load(global, id));
    const auto status = TRY(container.status());
    if (status == Status::stopped)
        return fail(ErrorKind::conflict, "cannot start a container that has stopped");
    if (status != Status::created)
        return fail(ErrorKind::conflict, "cannot start an already running container");
    const auto spec = TRY(container.spec());
    const Fd socket =
        TRY(sys::connect_unix(container.start_socket(), sys::SocketType::stream).context("start"));
    const auto process = TRY(container.process());
    const auto notify = TRY(NotifySocket::open(container.directory()));
    auto started = runtime::start_by_socket(socket);
    if (!started) return start_error(std::move(started).error());
    // It says nothing any more, so it may stay when it cannot go.
    sys::remove_file(container.start_socket()).ignore();
    poststart(container, spec);
    if (notify) notify->wait(process);
    return 0;
}

}  // namespace corten::runtime_cli
