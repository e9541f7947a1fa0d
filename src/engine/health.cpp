#include "health.hpp"

#include "exec_runner.hpp"
#include "state_change.hpp"

namespace corten::engine {

namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::size_t most_kept = 5;

nanoseconds or_default(std::int64_t value, nanoseconds fallback) {
    return value > 0 ? nanoseconds(value) : fallback;
}

bool has_check(const apitypes::ContainerConfig& config) {
    return config.healthcheck && !config.healthcheck->test.empty() &&
           config.healthcheck->test[0] != "NONE";
}

/// The command line of a check: CMD as it is, CMD-SHELL through the image's shell.
std::vector<std::string> probe_command(const apitypes::ContainerConfig& config) {
    const auto& test = config.healthcheck->test;
    if (test[0] != "CMD-SHELL") return {test.begin() + 1, test.end()};
    std::vector<std::string> command = config.shell.values();
    if (command.empty()) command = {"/bin/sh", "-c"};
    command.insert(command.end(), test.begin() + 1, test.end());
    return command;
}

/// One run's checks: ends when the container's start time changes or it stops.
struct Checks {
    Context& context;
    std::shared_ptr<Container> container;
    std::int64_t run;  ///< started_at
};

bool still_running(const Checks& checks) {
    const auto state = checks.container->state();
    return state.is_running() && state.started_at == checks.run && !checks.context.closing;
}

bool in_start_period(const Checks& checks, const apitypes::HealthConfig& config) {
    return unix_nanoseconds(now()) - checks.run < config.start_period;
}

nanoseconds next_interval(const Checks& checks, const apitypes::HealthConfig& config) {
    const bool starting = checks.container->state().health.status == "starting";
    if (starting && in_start_period(checks, config))
        return or_default(config.start_interval, seconds(5));
    return or_default(config.interval, seconds(30));
}

void schedule(const Checks& checks);

void record_probe(const Checks& checks, HealthProbe probe) {
    const auto config = checks.container->spec()->config;
    const int retries = config.healthcheck->retries > 0 ? config.healthcheck->retries : 3;
    const bool starting = in_start_period(checks, *config.healthcheck);
    std::lock_guard operation(checks.container->operation());
    if (!still_running(checks)) return;
    bool changed = false;
    note_change(checks.context, *checks.container, [&](ContainerState& state) {
        changed = apply_probe(state.health, std::move(probe), retries, starting);
    });
    if (changed)
        publish_container_event(checks.context, *checks.container->spec(),
                                "health_status: " + checks.container->state().health.status);
}

void probe(const Checks& checks) {
    if (!still_running(checks)) return;
    if (checks.container->state().status == "paused") return schedule(checks);
    const auto spec = checks.container->spec();
    HealthProbe result{.start = unix_nanoseconds(now()), .end = 0, .exit_code = -1, .output = {}};
    const auto timeout = or_default(spec->config.healthcheck->timeout, seconds(30));
    auto outcome = run_probe(checks.context, checks.container, probe_command(spec->config),
                             std::chrono::ceil<sys::Milliseconds>(timeout));
    result.end = unix_nanoseconds(now());
    if (!outcome) {
        result.output = outcome.error().message();
    } else if (outcome->timed_out) {
        result.output = fmt::format("Health check exceeded timeout ({}s)",
                                    std::chrono::duration<double>(timeout).count());
    } else {
        result.exit_code = outcome->exit_code;
        result.output = std::move(outcome->output);
    }
    record_probe(checks, std::move(result));
    if (still_running(checks)) schedule(checks);
}

void schedule(const Checks& checks) {
    const auto& config = *checks.container->spec()->config.healthcheck;
    checks.context.timers.after(next_interval(checks, config), [checks] {
        checks.context.workers.post([checks] { probe(checks); });
    });
}

}  // namespace

HealthRecord initial_health(const apitypes::ContainerConfig& config) {
    HealthRecord health;
    if (has_check(config)) health.status = "starting";
    return health;
}

void begin_health_checks(Context& context, const std::shared_ptr<Container>& container) {
    if (!has_check(container->spec()->config)) return;
    schedule({.context = context, .container = container, .run = container->state().started_at});
}

bool apply_probe(HealthRecord& health, HealthProbe probe, int retries, bool in_start_period) {
    const std::string before = health.status;
    if (probe.exit_code == 0) {
        health.status = "healthy";
        health.failing_streak = 0;
    } else if (!(in_start_period && health.status == "starting")) {
        ++health.failing_streak;
        if (health.failing_streak >= retries) health.status = "unhealthy";
    }
    health.log.push_back(std::move(probe));
    if (health.log.size() > most_kept) health.log.erase(health.log.begin());
    return health.status != before;
}

}  // namespace corten::engine
