// Ending and holding a running container.
#include "lifecycle.hpp"
#include "signals.hpp"
#include "state_change.hpp"

#include <base/rollback.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

#include <cerrno>
#include <csignal>

namespace corten::engine::lifecycle {

namespace {

constexpr int default_stop_seconds = 10;
/// After SIGKILL a process only lives on in an uninterruptible wait of the kernel's.
constexpr sys::Milliseconds kill_patience{30'000};

Result<cgroup::Group> group_of(Context& context, const ContainerState& state) {
    return cgroup::Group::open(context.facts.cgroups, state.cgroup_path);
}

Error not_running(const Container& container) {
    return fail(ErrorKind::conflict, "container {} is not running", container.id());
}

Result<void> thaw_locked(Context& context, Container& container) {
    TRY(TRY(group_of(context, container.state())).thaw());
    note_change(context, container, [](ContainerState& state) { state.status = "running"; });
    publish_container_event(context, *container.spec(), "unpause");
    return {};
}

/// To the container's first process. One that is to end is thawed, so that the signal arrives.
enum class Thaw { no, yes };
Result<void> send_signal_locked(Context& context, Container& container, int signal, Thaw thaw) {
    const auto state = container.state();
    if (!state.is_running()) return not_running(container);
    TRY(TRY(sys::PidRef::open(state.pid)).signal(signal));
    if (thaw == Thaw::yes && state.status == "paused") TRY(thaw_locked(context, container));
    return {};
}

Result<void> send_signal_to_end(Context& context, Container& container, int signal) {
    std::lock_guard operation(container.operation());
    return send_signal_locked(context, container, signal, Thaw::yes);
}

/// Restarts are off from now on: a container that waits for its next one has ended. The status
/// that it was found with.
std::string begin_stop_locked(Context& context, Container& container) {
    std::string found = container.state().status;
    if (found != "restarting" && !container.state().is_running()) return found;
    note_change(context, container, [&](ContainerState& state) {
        state.stopped_by_user = true;
        if (found == "restarting") state.status = "exited";
    });
    if (found == "restarting")
        container.notify_exit({.exit_code = container.state().exit_code, .error = {}});
    return found;
}

std::string begin_stop(Context& context, Container& container) {
    std::lock_guard operation(container.operation());
    return begin_stop_locked(context, container);
}

void publish_kill(Context& context, Container& container, int signal) {
    publish_container_event(context, *container.spec(), "kill",
                            {{"signal", std::to_string(signal)}});
}

/// False after `timeout`; no timeout waits for ever.
Result<bool> wait_for_exit(Container& container, std::optional<sys::Milliseconds> timeout) {
    const auto slot = TRY(container.begin_wait(WaitCondition::not_running));
    Rollback leave;
    leave.add([&] { container.end_wait(slot); });
    const FdView fds[] = {slot->done.fd()};
    return TRY(sys::wait_readable(fds, timeout)).has_value();
}

struct StopPlan {
    int signal = SIGTERM;
    std::optional<sys::Milliseconds> timeout;
};

Result<StopPlan> plan_stop(const ContainerSpec& spec, const StopContainer& request) {
    StopPlan plan;
    const std::string& name = request.signal.empty() ? spec.config.stop_signal : request.signal;
    if (!name.empty()) plan.signal = TRY(parse_signal(name));
    const int seconds =
        request.timeout_seconds.value_or(spec.config.stop_timeout.value_or(default_stop_seconds));
    if (seconds >= 0) plan.timeout = std::chrono::seconds(seconds);
    return plan;
}

/// Whether a signal could not be sent because the process has ended: we are about to be told.
bool has_ended(const Result<void>& sent) {
    if (sent) return false;
    return sent.error().kind() == ErrorKind::conflict || sent.error().number() == ESRCH;
}

Result<void> stop_running(Context& context, Container& container, const StopPlan& plan) {
    publish_kill(context, container, plan.signal);
    const auto sent = send_signal_to_end(context, container, plan.signal);
    if (!sent && !has_ended(sent)) return sent.error();
    if (TRY(wait_for_exit(container, sent ? plan.timeout : kill_patience))) return {};
    publish_kill(context, container, SIGKILL);
    send_signal_to_end(context, container, SIGKILL).ignore();  // it may have ended meanwhile
    if (TRY(wait_for_exit(container, kill_patience))) return {};
    return fail(
        ErrorKind::io,
        "container {} did not end {} s after SIGKILL: one of its processes is stuck in the kernel",
        container.id(), kill_patience.count() / 1000);
}

}  // namespace

Result<void> stop(Context& context, const std::shared_ptr<Container>& container,
                  const StopContainer& request) {
    const auto plan = TRY(plan_stop(*container->spec(), request));
    const std::string found = begin_stop(context, *container);
    if (found == "restarting") return {};
    if (found != "running" && found != "paused")
        return fail(ErrorKind::not_modified, "container is not running");
    TRY(stop_running(context, *container, plan));
    publish_container_event(context, *container->spec(), "stop");
    return {};
}

Result<void> restart(Context& context, const std::shared_ptr<Container>& container,
                     const StopContainer& request) {
    const auto plan = TRY(plan_stop(*container->spec(), request));
    container->begin_restart();
    Rollback end;
    end.add([&] { container->end_restart(); });
    const std::string found = begin_stop(context, *container);
    if (found == "running" || found == "paused") TRY(stop_running(context, *container, plan));
    // The exit's own clean-up may still hold the container; start() waits for it.
    TRY(start(context, container, StartReason::asked));
    publish_container_event(context, *container->spec(), "restart");
    return {};
}

Result<void> kill(Context& context, const std::shared_ptr<Container>& container, int signal) {
    const auto spec = container->spec();
    const bool stops = signal == SIGKILL || spec->config.stop_signal.empty() ||
                       parse_signal(spec->config.stop_signal).value_or(SIGTERM) == signal;
    std::lock_guard operation(container->operation());
    // That it was meant to end stays true when it has ended by itself this moment.
    if (stops && begin_stop_locked(context, *container) == "restarting") return {};
    const auto sent = send_signal_locked(context, *container, signal, stops ? Thaw::yes : Thaw::no);
    if (!sent)
        return fail(ErrorKind::conflict, "cannot kill container: {}: {}", spec->name,
                    sent.error().message());
    publish_kill(context, *container, signal);
    return {};
}

Result<void> pause(Context& context, const std::shared_ptr<Container>& container) {
    std::lock_guard operation(container->operation());
    const auto state = container->state();
    if (state.status == "paused")
        return fail(ErrorKind::conflict, "container {} is already paused", container->id());
    if (!state.is_running()) return not_running(*container);
    const auto group = TRY(group_of(context, state));
    Rollback undo;
    undo.add([&] { group.thaw().ignore(); });
    TRY(group.freeze());
    TRY(change_and_keep(context.container_store, *container,
                        [](ContainerState& changed) { changed.status = "paused"; }));
    undo.commit();
    publish_container_event(context, *container->spec(), "pause");
    return {};
}

Result<void> unpause(Context& context, const std::shared_ptr<Container>& container) {
    std::lock_guard operation(container->operation());
    const auto state = container->state();
    if (state.status != "paused")
        return fail(ErrorKind::internal, "container {} is not paused", container->id());
    return thaw_locked(context, *container);
}

}  // namespace corten::engine::lifecycle
