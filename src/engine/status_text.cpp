#include "status_text.hpp"

#include <base/units.hpp>

namespace corten::engine {

namespace {

std::string since(std::int64_t then, WallTime now) {
    return human_duration(now - WallTime(std::chrono::nanoseconds(then)));
}

}  // namespace

std::string status_text(const ContainerState& state, WallTime now) {
    if (state.status == "running") {
        std::string text = "Up " + since(state.started_at, now);
        if (state.health.status == "starting") return text + " (health: starting)";
        if (!state.health.status.empty()) return text + " (" + state.health.status + ")";
        return text;
    }
    if (state.status == "paused") return "Up " + since(state.started_at, now) + " (Paused)";
    if (state.status == "restarting")
        return fmt::format("Restarting ({}) {} ago", state.exit_code,
                           since(state.finished_at, now));
    if (state.status == "removing") return "Removal In Progress";
    if (state.status == "dead") return "Dead";
    if (state.status == "created") return "Created";
    return fmt::format("Exited ({}) {} ago", state.exit_code, since(state.finished_at, now));
}

}  // namespace corten::engine
