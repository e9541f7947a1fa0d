// Ending and holding a running container.
#include "lifecycle.hpp"
#include "signals.hpp"

#include <base/ids.hpp>
#include <base/log.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

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

/// Sends a signal to the container's first process.
Result<void> send_signal(Context& context, Container& container, int signal) {
    const auto state = container.state();
    if (!state.is_running()) return not_running(container);
    const auto process = TRY(sys::PidRef::open(state.pid));
    // A frozen process takes no signal but must be able to die from one.
    if (state.status == "paused" && signal == SIGKILL) {
        TRY(TRY(group_of(context, state)).thaw());
        container.change_state([](ContainerState& s) { s.status = "running"; });
    }
    return process.signal(signal);
}

/// Restarts are off from now on.
void mark_stopped_by_user(Context& context, Container& container) {
    container.change_state([](ContainerState& state) { state.stopped_by_user = true; });
    const auto kept = context.container_store.update_state(container.id(), container.state());
    if (!kept) log::error("container {}: {}", short_id(container.id()), kept.error().message());
}

void publish_kill(Context& context, Container& container, int signal) {
    publish_container_event(context, *container.spec(), "kill",
                            {{"signal", std::to_string(signal)}});
}

/// False after `timeout`; no timeout waits for ever.
Result<bool> wait_for_exit(Container& container, std::optional<sys::Milliseconds> timeout) {
    const auto slot = TRY(container.begin_wait(WaitCondition::not_running));
    const FdView fds[] = {slot->done.fd()};
    const bool over = TRY(sys::wait_readable(fds, timeout)).has_value();
    if (!over) container.end_wait(slot);
    return over;
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

/// A container that waits for its next restart is stopped by not restarting it.
bool cancel_restart(Context& context, Container& container) {
    std::lock_guard operation(container.operation());
    if (container.state().status != "restarting") return false;
    container.change_state([](ContainerState& state) {
        state.status = "exited";
        state.stopped_by_user = true;
    });
    const auto kept = context.container_store.update_state(container.id(), container.state());
    if (!kept) log::error("container {}: {}", short_id(container.id()), kept.error().message());
    container.notify_exit({.exit_code = container.state().exit_code, .error = {}});
    return true;
}

Result<void> stop_running(Context& context, Container& container, const StopPlan& plan) {
    publish_kill(context, container, plan.signal);
    const auto sent = send_signal(context, container, plan.signal);
    if (!sent && sent.error().kind() == ErrorKind::io) return sent.error();
    if (TRY(wait_for_exit(container, plan.timeout))) return {};
    publish_kill(context, container, SIGKILL);
    send_signal(context, container, SIGKILL).ignore();  // it may have ended meanwhile
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
    if (cancel_restart(context, *container)) return {};
    if (!container->state().is_running())
        return fail(ErrorKind::not_modified, "container is not running");
    mark_stopped_by_user(context, *container);
    TRY(stop_running(context, *container, plan));
    publish_container_event(context, *container->spec(), "stop");
    return {};
}

Result<void> restart(Context& context, const std::shared_ptr<Container>& container,
                     const StopContainer& request) {
    const auto plan = TRY(plan_stop(*container->spec(), request));
    if (!cancel_restart(context, *container) && container->state().is_running()) {
        mark_stopped_by_user(context, *container);
        TRY(stop_running(context, *container, plan));
    }
    // The exit's own clean-up may still hold the container; start() waits for it.
    TRY(start(context, container));
    publish_container_event(context, *container->spec(), "restart");
    return {};
}

Result<void> kill(Context& context, const std::shared_ptr<Container>& container, int signal) {
    const auto spec = container->spec();
    const bool stops = signal == SIGKILL || spec->config.stop_signal.empty() ||
                       parse_signal(spec->config.stop_signal).value_or(SIGTERM) == signal;
    if (stops && cancel_restart(context, *container)) return {};
    if (!container->state().is_running())
        return fail(ErrorKind::conflict, "cannot kill container: {}: container {} is not running",
                    spec->name, container->id());
    const bool was_stopped = container->state().stopped_by_user;
    if (stops) mark_stopped_by_user(context, *container);
    const auto sent = send_signal(context, *container, signal);
    if (!sent) {
        container->change_state(
            [&](ContainerState& state) { state.stopped_by_user = was_stopped; });
        return fail(ErrorKind::conflict, "cannot kill container: {}: {}", spec->name,
                    sent.error().message());
    }
    publish_kill(context, *container, signal);
    return {};
}

Result<void> pause(Context& context, const std::shared_ptr<Container>& container) {
    std::lock_guard operation(container->operation());
    const auto state = container->state();
    if (state.status == "paused")
        return fail(ErrorKind::conflict, "container {} is already paused", container->id());
    if (!state.is_running()) return not_running(*container);
    TRY(TRY(group_of(context, state)).freeze());
    container->change_state([](ContainerState& s) { s.status = "paused"; });
    TRY(context.container_store.update_state(container->id(), container->state()));
    publish_container_event(context, *container->spec(), "pause");
    return {};
}

Result<void> unpause(Context& context, const std::shared_ptr<Container>& container) {
    std::lock_guard operation(container->operation());
    const auto state = container->state();
    if (state.status != "paused")
        return fail(ErrorKind::internal, "container {} is not paused", container->id());
    TRY(TRY(group_of(context, state)).thaw());
    container->change_state([](ContainerState& s) { s.status = "running"; });
    TRY(context.container_store.update_state(container->id(), container->state()));
    publish_container_event(context, *container->spec(), "unpause");
    return {};
}

}  // namespace corten::engine::lifecycle
