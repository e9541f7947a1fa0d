// Starting is recovery. The database says what should be, the supervisors' sockets what is.
#include "health.hpp"
#include "lifecycle.hpp"
#include "mount_sources.hpp"
#include "network_attach.hpp"
#include "state_change.hpp"

#include <base/ids.hpp>
#include <base/log.hpp>
#include <proto/shim_files.hpp>
#include <sys/file.hpp>

#include <cgroup/group.hpp>

#include <csignal>
#include <set>
#include <thread>

namespace corten::engine::lifecycle {

namespace {

/// What happened to a container while no daemon looked.
struct Found {
    std::shared_ptr<Container> container;
    std::optional<proto::StateReply> state;  ///< the supervisor's word, if it lives
};

Result<std::shared_ptr<proto::ShimClient>> connect(Context& context,
                                                   const std::shared_ptr<Container>& container) {
    constexpr auto patience = std::chrono::seconds(10);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const bool lives = supervisor_lives(context, container->id());
        auto client = context.pump->connect(
            proto::control_socket_in(context.runtime_directory(container->id())),
            supervisor_handlers(context, container));
        // The daemon before us may have died right after it spawned one: it will listen soon.
        if (client || !lives || std::chrono::steady_clock::now() > deadline) return client;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

/// A start request of the daemon before us may still lie in the supervisor's socket. Once it is
/// released it will not start; when it has started already it says so.
std::optional<proto::StateReply> settled_state(proto::ShimClient& client,
                                               const proto::StateReply& first) {
    if (first.status != "created") return first;
    const auto released = client.call(proto::ReleaseRequest{});
    if (released) return {};
    const auto again = client.call(proto::StateRequest{});
    if (!again) return {};
    return *again;
}

Found look_at(Context& context, const std::shared_ptr<Container>& container) {
    Found found{.container = container, .state = {}};
    const auto client = connect(context, container);
    if (!client) return found;  // no supervisor: the ordinary case of a container that does not run
    container->set_supervisor(*client, sys::PidRef());
    const auto state = (*client)->call(proto::StateRequest{});
    if (!state) {
        log::warning("supervisor of {}: {}", container->name(), state.error().message());
        return found;
    }
    found.state = settled_state(**client, *state);
    if (!found.state)
        forget_supervisor(context, *container, ForgetMode::released, ExitFile::remove);
    return found;
}

void adopt_execs(Context& context, Container& container, const proto::StateReply& state) {
    for (const auto& exec : state.execs) {
        ExecRecord record;
        record.id = exec.exec_id;
        record.container_id = container.id();
        record.started = true;
        record.running = exec.running;
        record.pid = static_cast<int>(exec.pid);
        if (!exec.running) record.exit_code = exec.code;
        if (exec.running) container.add_exec(exec.exec_id);
        context.execs.insert(std::move(record));
    }
}

/// The freezer knows better than the record: the daemon may have died between the two.
std::string status_of(Context& context, const std::string& cgroup_path) {
    const auto group = cgroup::Group::open(context.facts.cgroups, cgroup_path);
    const auto freezer = group ? group->freezer_state() : group.error();
    if (!freezer) log::error("group {}: {}", cgroup_path, freezer.error().message());
    return freezer && *freezer != cgroup::FreezerState::thawed ? "paused" : "running";
}

/// The container runs on: its addresses and ports stay its own. Of what fails the rest is no less
/// needed.
void adopt(Context& context, const Found& found) {
    auto& container = *found.container;
    const auto tell = [&](const Result<void>& step) {
        if (!step) log::error("adopt {}: {}", container.name(), step.error().message());
    };
    note_change(context, container, [&](ContainerState& state) {
        state.status = status_of(context, state.cgroup_path);
        state.pid = static_cast<int>(found.state->pid);
        state.started_at = found.state->started_at;
    });
    adopt_execs(context, container, *found.state);
    const auto endpoints = container.state().endpoints;
    for (const auto& endpoint : endpoints)
        tell(context.networks->adopt(endpoint, open_namespace(container, "net").value_or(Fd())));
    if (const auto network_namespace = open_namespace(container, "net"))
        tell(serve_names(context, *container.spec(), endpoints, *network_namespace));
    for (const auto& mount : container.spec()->mounts)
        if (mount.type == "volume") tell(context.volume_mounts.acquire(mount.name, container.id()));
}

/// It ended, or its supervisor did.
void note_exit(Context& context, const Found& found) {
    const auto& container = found.container;
    const bool told = found.state && found.state->exit;
    handle_exit(context, container, container->current_run(),
                told ? *found.state->exit : recorded_exit(context, container->id()));
}

void finish_removal(Context& context, const std::shared_ptr<Container>& container, bool volumes) {
    const auto removed = remove(context, container, {.force = true, .volumes = volumes});
    if (!removed)
        log::error("finish the removal of {}: {}", container->name(), removed.error().message());
}

void settle(Context& context, const Found& found) {
    const auto state = found.container->state();
    const bool lives = found.state && found.state->status == "running";
    if (state.status == "removing")
        return finish_removal(context, found.container, state.removes_volumes);
    if (lives) return adopt(context, found);
    if (state.is_running()) {
        if (!found.state) end_cgroup(context, state.cgroup_path);
        return note_exit(context, found);
    }
    // A supervisor of a start that never happened, or of a container that ended.
    if (found.state) release_supervisor(context, *found.container);
    if (found.container->spec()->host.auto_remove && state.started_at != 0)
        finish_removal(context, found.container, true);
}

/// What cannot be removed stays for the next start: it is no reason not to serve the others.
void tell_left(const Result<void>& removed) {
    if (!removed) log::error("remove what a crash left: {}", removed.error().message());
}

std::vector<std::string> names_in(const std::string& directory) {
    auto names = sys::list_directory(directory);
    if (!names) log::error("{}", names.error().message());
    return std::move(names).value_or({});
}

/// Supervisors, files and snapshots of containers that no row names: a create that was cut short.
Result<void> remove_orphans(Context& context, const std::set<std::string>& known) {
    for (const auto& key : TRY(context.store->snapshots().list()))
        if (!known.contains(key)) tell_left(context.store->snapshots().remove(key));
    for (const auto& name : names_in(context.config.data_root + "/containers"))
        if (!known.contains(name)) tell_left(sys::remove_tree(context.files_of(name)));
    for (const auto& name : names_in(context.config.exec_root + "/containers")) {
        if (known.contains(name)) continue;
        end_cgroup(context, context.config.cgroup_parent + "/" + name);
        tell_left(sys::remove_tree(context.runtime_directory(name)));
    }
    return context.volumes.remove_orphans();
}

/// always: even when it was stopped by hand; unless-stopped: only when it was not. What the policy
/// of on-failure means for a daemon that was away nobody can tell: as docker, it is left alone.
void start_by_policy(Context& context, const std::shared_ptr<Container>& container) {
    const auto state = container->state();
    const std::string& policy = container->spec()->host.restart_policy.name;
    const bool was_restarting = state.status == "restarting";
    const bool wanted = was_restarting || policy == "always" ||
                        (policy == "unless-stopped" && !state.stopped_by_user);
    if (!wanted || state.is_running() || state.started_at == 0) return;
    context.workers.post([&context, container] {
        if (const auto started = start(context, container, StartReason::policy);
            !started && started.error().kind() != ErrorKind::not_modified)
            log::warning("start {}: {}", container->name(), started.error().message());
    });
}

/// Fills the table. The ids of all containers that there are, those with an unreadable record
/// included, which keep their name and all that is theirs.
Result<std::set<std::string>> load_containers(Context& context) {
    auto loaded = TRY(context.container_store.load());
    std::set<std::string> known;
    for (auto& [spec, state] : loaded.records) {
        known.insert(spec.id);
        TRY(context.containers.reserve_name(spec.name, spec.id));
        context.containers.insert(std::make_shared<Container>(std::move(spec), std::move(state)));
    }
    for (const auto& [id, name, error] : loaded.unreadable) {
        log::error("container {} ({}) is left alone: {}", name, id, error.message());
        known.insert(id);
        TRY(context.containers.reserve_name(name, id));
    }
    return known;
}

}  // namespace

Result<void> recover(Context& context) {
    const auto known = TRY(load_containers(context));
    for (const auto& container : context.containers.all())
        settle(context, look_at(context, container));
    TRY(context.networks->start());
    TRY(context.volume_mounts.unmount_unused());
    TRY(remove_orphans(context, known));
    for (const auto& container : context.containers.all()) {
        if (container->state().is_running()) begin_health_checks(context, container);
        start_by_policy(context, container);
    }
    context.collect_garbage_soon();
    keep_spare_supervisors(context);
    return {};
}

}  // namespace corten::engine::lifecycle
