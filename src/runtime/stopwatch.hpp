#pragma once
#include <runtime/container.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace corten::runtime {

/// Notes how long each phase took since the one before it.
class Stopwatch {
public:
    explicit Stopwatch(std::vector<Timing>& out) : out_(out) {}
    void lap(std::string phase) {
        const auto now = Clock::now();
        out_.push_back({std::move(phase), now - last_});
        last_ = now;
    }

private:
    using Clock = std::chrono::steady_clock;
    std::vector<Timing>& out_;
    Clock::time_point last_ = Clock::now();
};

}  // namespace corten::runtime
