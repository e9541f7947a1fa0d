// What follows when a container's first process has ended, and when a container is removed.
#include "lifecycle.hpp"
#include "mount_sources.hpp"
#include "network_attach.hpp"
#include "restart_policy.hpp"
#include "state_change.hpp"

#include <base/ids.hpp>
#include <base/log.hpp>
#include <base/rollback.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <csignal>

namespace corten::engine::lifecycle {

namespace {

/// Networks and volumes first, then `die`, as docker's clients see it.
void publish_exit(Context& context, const ContainerSpec& spec, const ContainerState& before,
                  const proto::ExitRecord& record) {
    publish_network_events(context, "disconnect", spec, before.endpoints);
    publish_volume_unmounts(context, spec);
    const auto ran = (record.finished_at - before.started_at) / 1'000'000'000;
    publish_container_event(
        context, spec, "die",
        {{"exitCode", std::to_string(record.code)}, {"execDuration", std::to_string(ran)}});
}

bool wants_restart(const Context& context, const ContainerSpec& spec, const ContainerState& state,
                   int code) {
    return !context.closing &&
           should_restart({.policy = spec.host.restart_policy.name,
                           .maximum_retries = spec.host.restart_policy.maximum_retry_count,
                           .restart_count = state.restart_count,
                           .exit_code = code,
                           .stopped_by_user = state.stopped_by_user});
}

void start_again(Context& context, const std::shared_ptr<Container>& container) {
    if (container->state().status != "restarting") return;
    const auto started = start(context, container, StartReason::policy);
    if (!started) log::warning("restart of {}: {}", container->name(), started.error().message());
}

void schedule_restart(Context& context, const std::shared_ptr<Container>& container) {
    const std::chrono::milliseconds delay(container->state().restart_delay_ms);
    context.timers.after(delay, [&context, container] {
        context.exits.post([&context, container] { start_again(context, container); });
    });
}

/// What follows the end of a run.
enum class After { nothing, restart, removal };

After what_follows(const Context& context, const Container& container, int code) {
    const auto spec = container.spec();
    if (wants_restart(context, *spec, container.state(), code)) return After::restart;
    const bool goes = spec->host.auto_remove && !container.is_being_restarted();
    return goes ? After::removal : After::nothing;
}

/// False when the exit file has to tell it to the next daemon.
bool record_exit(Context& context, Container& container, const proto::ExitRecord& record,
                 After after) {
    const bool again = after == After::restart;
    const auto change = [&](ContainerState& state) {
        const std::chrono::nanoseconds ran(record.finished_at - state.started_at);
        const std::chrono::milliseconds previous(state.restart_delay_ms);
        state.restart_delay_ms = again ? next_restart_delay(previous, ran).count() : 0;
        if (again) ++state.restart_count;
        state.status = again ? "restarting" : "exited";
        state.pid = 0;
        state.exit_code = record.code;
        state.oom_killed = record.oom_killed;
        state.finished_at = record.finished_at;
        state.endpoints.clear();
        state.sandbox_id.clear();
        if (!state.health.status.empty()) state.health.status = "unhealthy";
    };
    if (after != After::removal) return note_change(context, container, change);
    // The row goes in a moment; for a daemon that dies before, the exit file tells.
    container.change_state(change);
    return true;
}

/// The supervisor has reaped them before the container's first process, where that has a pid
/// namespace of its own; elsewhere it may be about to kill them.
void end_execs(Context& context, Container& container) {
    const auto supervisor = container.supervisor();
    if (supervisor && context.execs.any_runs_in(container.id()))
        if (const auto state = supervisor->call(proto::StateRequest{}))
            for (const auto& exec : state->execs)
                if (!exec.running) context.execs.end(exec.exec_id, exec.code);
    context.execs.end_with(container.id(), 128 + SIGKILL);
    for (const auto& id : container.execs()) container.remove_exec(id);
}

}  // namespace

void handle_exit(Context& context, const std::shared_ptr<Container>& container, std::uint64_t run,
                 const proto::ExitRecord& record) {
    std::unique_lock operation(container->operation());
    if (container->current_run() != run) return;  // of an earlier run
    const auto before = container->state();
    if (!before.is_running()) return;  // told twice: by event and by the supervisor's end
    const auto spec = container->spec();
    leave_networks(context, before.endpoints);
    context.volume_mounts.release(spec->id);
    const After after = what_follows(context, *container, record.code);
    const bool kept = record_exit(context, *container, record, after);
    end_execs(context, *container);
    publish_exit(context, *spec, before, record);
    container->notify_exit({.exit_code = record.code, .error = {}});
    if (after != After::removal) {
        release_supervisor(context, *container, kept ? ExitFile::remove : ExitFile::keep);
        drop_shared_memory(context, spec->id);
        if (after == After::restart) schedule_restart(context, container);
        return;
    }
    operation.unlock();
    const auto removed = remove(context, container, {.force = true, .volumes = true});
    if (!removed && removed.error().kind() != ErrorKind::not_found)
        log::error("remove {}: {}", spec->name, removed.error().message());
}

namespace {

Result<void> remove_anonymous_volumes(Context& context, const ContainerSpec& spec) {
    for (const auto& mount : spec.mounts) {
        if (!mount.anonymous) continue;
        const auto used_elsewhere =
            std::ranges::any_of(context.containers.all(), [&](const auto& other) {
                const auto& mounts = other->spec()->mounts;
                return other->id() != spec.id &&
                       std::ranges::find(mounts, mount.name, &PlannedMount::name) != mounts.end();
            });
        if (used_elsewhere) continue;
        TRY(context.volumes.remove(mount.name));
        context.events.publish(make_event("volume", "destroy", mount.name, {{"driver", "local"}}));
    }
    return {};
}

Error running_refusal(const ContainerSpec& spec, const ContainerState& state) {
    const std::string_view advice =
        state.status == "paused"
            ? "unpause and then stop the container before removing or force remove"
            : "stop the container before removing or force remove";
    return fail(ErrorKind::conflict, "cannot remove container \"/{}\": container is {}: {}",
                spec.name, state.status, advice);
}

/// Kills what runs and waits for its end.
Result<void> end_for_removal(Context& context, const std::shared_ptr<Container>& container) {
    for (;;) {
        const auto slot = TRY(container->begin_wait(WaitCondition::not_running));
        Rollback leave;
        leave.add([&] { container->end_wait(slot); });
        if (!container->state().counts_as_running()) return {};
        const auto killed = kill(context, container, SIGKILL);
        if (!killed && killed.error().kind() != ErrorKind::conflict) return killed.error();
        const FdView fds[] = {slot->done.fd()};
        if (!TRY(sys::wait_readable(fds, std::chrono::seconds(30))))
            return fail(ErrorKind::io, "container {} did not end 30 s after SIGKILL",
                        container->id());
    }
}

/// Marked on disk before anything of it is gone, and forgotten there at the very end: what a crash
/// leaves is finished at the next start. Who waits for the removal is told once nothing that a
/// client can name is left; the rest is only of this machine.
Result<void> destroy_locked(Context& context, Container& container, bool volumes) {
    const auto spec = container.spec();
    TRY(change_and_keep(context.container_store, container, [&](ContainerState& state) {
        state.status = "removing";
        state.removes_volumes = volumes;
    }));
    TRY(context.store->snapshots().remove(spec->id));
    if (volumes) TRY(remove_anonymous_volumes(context, *spec));
    context.containers.erase(spec->id);
    context.execs.erase_of(spec->id);
    publish_container_event(context, *spec, "destroy");
    container.notify_removed();
    release_supervisor(context, container);
    drop_shared_memory(context, spec->id);
    TRY(sys::remove_tree(context.runtime_directory(spec->id)));  // of a run before a crash
    TRY(sys::remove_tree(context.files_of(spec->id)));
    TRY(context.container_store.remove(spec->id));
    context.sweep_soon();
    return {};
}

}  // namespace

Result<void> remove(Context& context, const std::shared_ptr<Container>& container,
                    const RemoveContainer& request) {
    const auto state = container->state();
    if (state.counts_as_running() && !request.force)
        return running_refusal(*container->spec(), state);
    if (state.counts_as_running()) TRY(end_for_removal(context, container));
    std::lock_guard operation(container->operation());
    if (container->is_removed()) return {};  // --rm was faster
    if (container->state().counts_as_running())
        return fail(ErrorKind::conflict,
                    "container {} was started again while it was being removed", container->id());
    return context.store->with_reserve(
        [&] { return destroy_locked(context, *container, request.volumes); });
}

}  // namespace corten::engine::lifecycle
