#pragma once
// When a container that ended is started again, and after how long (quirks of docker's policy:
// 100 ms, doubled each time, at most a minute, back to 100 ms after a run of ten seconds).
#include <chrono>
#include <optional>
#include <string>

namespace corten::engine {

struct RestartDecision {
    std::string policy;       ///< "no", "", "always", "unless-stopped" or "on-failure"
    int maximum_retries = 0;  ///< of on-failure; 0 is no limit
    int restart_count = 0;    ///< how often it was restarted so far
    int exit_code = 0;
    bool stopped_by_user = false;
};

inline bool should_restart(const RestartDecision& d) {
    if (d.stopped_by_user) return false;
    if (d.policy == "always" || d.policy == "unless-stopped") return true;
    if (d.policy != "on-failure" || d.exit_code == 0) return false;
    return d.maximum_retries == 0 || d.restart_count < d.maximum_retries;
}

/// The wait before the next restart. `previous` is the last wait, `ran` how long it ran since.
inline std::chrono::milliseconds next_restart_delay(std::chrono::milliseconds previous,
                                                    std::chrono::nanoseconds ran) {
    using std::chrono::milliseconds;
    constexpr milliseconds first(100);
    constexpr milliseconds longest(60'000);
    if (previous.count() == 0 || ran >= std::chrono::seconds(10)) return first;
    return std::min(previous * 2, longest);
}

}  // namespace corten::engine
