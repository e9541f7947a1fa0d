// Starting, listening to and ending the supervisor of a container.
#include "exec_runner.hpp"
#include "lifecycle.hpp"

#include <base/ids.hpp>
#include <base/log.hpp>
#include <base/text.hpp>
#include <proto/shim_files.hpp>
#include <sys/file.hpp>
#include <sys/socket.hpp>
#include <sys/wait.h>

#include <cgroup/group.hpp>
#include <fcntl.h>

#include <algorithm>
#include <csignal>

namespace corten::engine::lifecycle {

namespace {

constexpr std::chrono::milliseconds longest_pause{5'000};

void on_exited(Context& context, const std::shared_ptr<Container>& container, std::uint64_t run,
               const Json& body) {
    const auto record = from_json<proto::ExitRecord>(body, "exited event");
    if (!record)
        return log::error("container {}: {}", short_id(container->id()), record.error().message());
    context.exits.post(
        [&context, container, run, exit = *record] { handle_exit(context, container, run, exit); });
}

void on_event(Context& context, const std::shared_ptr<Container>& container, std::uint64_t run,
              const proto::Event& event) {
    const auto spec = container->spec();
    if (event.type == proto::event_exited) {
        on_exited(context, container, run, event.body);
    } else if (event.type == proto::event_exec_exited) {
        if (const auto exited = from_json<proto::ExecExitedEvent>(event.body, "exec_exited event"))
            handle_exec_exit(context, *container, *exited);
    } else if (event.type == proto::event_oom) {
        publish_container_event(context, *spec, "oom");
    } else if (event.type == proto::event_detached) {
        const auto detached = from_json<proto::DetachedEvent>(event.body, "detached event");
        const bool of_exec = detached && !detached->exec_id.empty();
        if (of_exec)
            publish_container_event(context, *spec, "exec_detach", {{"execID", detached->exec_id}});
        else
            publish_container_event(context, *spec, "detach");
    } else if (event.type == proto::event_log_lost) {
        log::warning("container {}: output could not be logged: {}", short_id(container->id()),
                     event.body.dump());
    }
}

/// Of the run as it was started, be it by a daemon with another parent group.
std::string recorded_cgroup(const Context& context, const Container& container) {
    const std::string recorded = container.state().cgroup_path;
    return recorded.empty() ? cgroup_path_of(context, *container.spec()) : recorded;
}

/// The supervisor went away by itself: its exit file tells how the container ended, if it got
/// there.
void on_closed(Context& context, const std::shared_ptr<Container>& container, std::uint64_t run) {
    {
        std::lock_guard operation(container->operation());
        if (context.closing || container->current_run() != run) return;
        end_cgroup(context, recorded_cgroup(context, *container));
    }
    handle_exit(context, container, run, recorded_exit(context, container->id()));
}

/// Reaps the supervisor when it is our child; one adopted from an earlier daemon is init's.
void reap(const sys::PidRef& process) {
    if (!process.valid()) return;
    siginfo_t info{};
    ::waitid(P_PIDFD, static_cast<id_t>(process.fd().raw()), &info, WEXITED);
}

/// One that is busy with a client that does not read may take long to end: looked at ever less
/// often, while no thread waits.
void reap_later(Context& context, const std::shared_ptr<sys::PidRef>& process,
                std::chrono::milliseconds pause) {
    context.timers.after(pause, [&context, process, pause] {
        if (process->has_exited()) return reap(*process);
        reap_later(context, process, std::min(pause * 2, longest_pause));
    });
}

/// A spare one, told whose it is; nullopt when there is none that hears it.
std::optional<StartedSupervisor> assign_spare(Context& context, const proto::AssignMessage& whose,
                                              FdView errors) {
    auto spare = context.spare_supervisors.take();
    keep_spare_supervisors(context);
    if (!spare) return {};
    const auto sent =
        proto::send(spare->control, {.type = std::string(whose.type), .body = to_json(whose)},
                    {{"errors", errors}});
    if (!sent) return {};
    return spare;
}

Result<StartedSupervisor> start_supervisor(Context& context, const proto::AssignMessage& whose,
                                           FdView errors) {
    if (auto spare = assign_spare(context, whose, errors)) return std::move(*spare);
    return spawn_supervisor(context.config.shim_program, {whose.directory, whose.cgroup_path},
                            errors);
}

Result<void> add_spare_supervisor(Context& context) {
    const std::string placeholder(context.runtime_directory(random_id()).size(), '-');
    context.spare_supervisors.add(TRY(spawn_supervisor(
        context.config.shim_program, {"--spare", placeholder}, FdView(STDERR_FILENO))));
    return {};
}

}  // namespace

/// Not at once: a start takes all processors for a few milliseconds.
void keep_spare_supervisors(Context& context) {
    constexpr std::chrono::milliseconds after_a_start{15};
    const auto fill = [&context] {
        while (!context.closing && !context.spare_supervisors.has(context.config.spare_supervisors))
            if (const auto added = add_spare_supervisor(context); !added)
                return log::warning("start a supervisor ahead: {}, ignoring",
                                    added.error().message());
    };
    context.timers.after(after_a_start, [&context, fill] { context.workers.post(fill); });
}

std::string cgroup_path_of(const Context& context, const ContainerSpec& spec) {
    const std::string& asked = spec.host.cgroup_parent;
    const std::string& parent = asked.empty() ? context.config.cgroup_parent : asked;
    return (parent.starts_with('/') ? parent : "/" + parent) + "/" + spec.id;
}

proto::ExitRecord recorded_exit(const Context& context, const std::string& id) {
    if (const auto text = sys::read_file(proto::exit_file_in(context.runtime_directory(id))))
        if (const auto kept = parse_as<proto::ExitRecord>(*text, "exit file")) return *kept;
    return {.code = 137, .signalled = true, .finished_at = unix_nanoseconds(now())};
}

void end_cgroup(const Context& context, const std::string& path) {
    if (path.empty()) return;
    const auto group = cgroup::Group::open(context.facts.cgroups, path);
    if (!group || !group->valid()) return;
    group->kill_all().ignore();  // an empty group has nothing to kill
    if (const auto removed = group->remove(); !removed)
        log::warning("remove cgroup {}: {}", path, removed.error().message());
}

proto::ShimHandlers supervisor_handlers(Context& context,
                                        const std::shared_ptr<Container>& container) {
    const auto run = container->begin_run();
    return {
        .on_event = [&context, container,
                     run](const proto::Event& event) { on_event(context, container, run, event); },
        .on_closed =
            [&context, container, run] {
                context.exits.post(
                    [&context, container, run] { on_closed(context, container, run); });
            }};
}

Result<std::shared_ptr<proto::ShimClient>> ensure_supervisor(
    Context& context, const std::shared_ptr<Container>& container) {
    if (auto client = container->supervisor(); client && !client->is_closed()) return client;
    reap(container->take_supervisor_process());
    const std::string directory = context.runtime_directory(container->id());
    TRY(sys::make_directories(directory, 0700));
    TRY(sys::remove_file(proto::exit_file_in(directory)));
    const Fd errors =
        TRY(sys::open(proto::supervisor_log_in(directory), O_WRONLY | O_CREAT | O_APPEND, 0600));
    // The supervisor's life is the lock's: see supervisor_lives().
    if (!TRY(sys::try_lock(errors)))
        return fail(ErrorKind::conflict, "container {} has a supervisor already", container->id());
    auto started = TRY(start_supervisor(
        context,
        {.directory = directory, .cgroup_path = cgroup_path_of(context, *container->spec())},
        errors));
    auto client =
        TRY(context.pump->add(std::move(started.control), supervisor_handlers(context, container)));
    container->set_supervisor(client, started.process.detach());
    return client;
}

bool supervisor_lives(const Context& context, const std::string& id) {
    const auto log = sys::open(proto::supervisor_log_in(context.runtime_directory(id)), O_RDONLY);
    if (!log) return false;
    const auto free = sys::try_lock(*log);
    return free && !*free;
}

void forget_supervisor(Context& context, Container& container, ForgetMode mode, ExitFile file) {
    const auto client = container.supervisor();
    if (!client) return;
    context.pump->remove(*client);
    // It takes the container's namespaces down as it ends: nobody waits for that.
    auto process = std::make_shared<sys::PidRef>(container.take_supervisor_process());
    if (mode == ForgetMode::kill && process->valid()) process->signal(SIGKILL).ignore();
    if (process->valid()) reap_later(context, process, std::chrono::milliseconds(4));
    // Recovery removes the rest. The lock on its log is that supervisor's, not the next one's.
    const std::string directory = context.runtime_directory(container.id());
    if (file == ExitFile::remove)
        sys::remove_tree(directory).ignore();
    else
        sys::remove_file(proto::supervisor_log_in(directory)).ignore();
}

void release_supervisor(Context& context, Container& container, ExitFile file) {
    const auto client = container.supervisor();
    if (!client) return;
    const auto released = client->call(proto::ReleaseRequest{});
    const bool stays = !released && released.error().kind() != ErrorKind::unavailable;
    if (stays)
        log::warning("container {}: release its supervisor: {}", short_id(container.id()),
                     released.error().message());
    // Never wait for one that will not go; the container goes with it.
    forget_supervisor(context, container, stays ? ForgetMode::kill : ForgetMode::released, file);
    if (stays) end_cgroup(context, recorded_cgroup(context, container));
}

}  // namespace corten::engine::lifecycle
