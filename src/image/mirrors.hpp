#pragma once
// What the ways to fetch one blob share: which endpoint to ask, and how often to ask again.
#include "session.hpp"

#include <base/sync.hpp>

#include <algorithm>
#include <optional>
#include <vector>

namespace corten::image {

/// The endpoints that may have a blob, in their order. Who is passed over is not asked for it
/// again, by nobody. Thread-safe; the sessions are borrowed.
class Mirrors {
public:
    explicit Mirrors(std::vector<Session*> sessions) : sessions_(std::move(sessions)) {}

    Session& current() const {
        return *sessions_.with([](const auto& all) { return all.front(); });
    }
    /// After `error`. False when there is nobody else to ask.
    bool pass_over(const Session& failed, const Error& error) {
        if (!failed.gives_way_after(error)) return false;
        return sessions_.with([&](auto& all) {
            // Another connection may have been faster to say so.
            if (all.front() != &failed) return true;
            if (all.size() == 1) return false;
            all.erase(all.begin());
            return true;
        });
    }

private:
    Sync<std::vector<Session*>> sessions_;
};

/// Failures of one stream of bytes, forgiven after some progress.
class Retries {
public:
    /// Counts a failure after `received` bytes. The pause before the next try; nullopt when there
    /// were as many failures as `options` allows tries.
    std::optional<std::chrono::milliseconds> next(const TransportOptions& options,
                                                  std::uint64_t received) {
        if (received - last_failure_at_ >= real_progress) failures_ = 0;
        last_failure_at_ = received;
        if (++failures_ >= options.attempts) return std::nullopt;
        return options.first_pause * (1 << std::min(failures_ - 1, 5));
    }

private:
    /// In bytes. A peer that sends a byte and hangs up, again and again, does not get there.
    static constexpr std::uint64_t real_progress = 1 << 20;
    int failures_ = 0;
    std::uint64_t last_failure_at_ = 0;
};

}  // namespace corten::image
