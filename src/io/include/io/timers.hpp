#pragma once
// One thread that calls functions at their time: restart back-off, health probes, stop time-outs.
// What it calls must be short; anything that blocks goes to a WorkerPool from there.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace corten::io {

class Timers {
public:
    using Clock = std::chrono::steady_clock;
    using Id = std::uint64_t;

    Timers();
    ~Timers();
    /// Drops what has not come due and what comes later; nothing is called any more.
    void close();
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    Id after(std::chrono::nanoseconds delay, std::function<void()> call);
    /// True when it had not been called yet, and now never will be.
    bool cancel(Id id);

private:
    struct Entry {
        Id id;
        std::function<void()> call;
    };
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::multimap<Clock::time_point, Entry> entries_;
    Id next_id_ = 1;
    bool closing_ = false;
    std::thread thread_;
};

}  // namespace corten::io
