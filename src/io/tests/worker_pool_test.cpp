#include <io/timers.hpp>
#include <io/worker_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <vector>

namespace corten::io {

TEST(WorkerPool, RunsEverythingThatWasPostedBeforeItEnds) {
    std::atomic<int> done = 0;
    {
        WorkerPool pool("test", 3);
        for (int i = 0; i < 1000; ++i) pool.post([&] { ++done; });
    }
    EXPECT_EQ(done, 1000);
}

TEST(WorkerPool, UsesAllItsThreads) {
    std::latch all_running(3);
    WorkerPool pool("test", 3);
    // Each waits for the others: it only ends when three run at the same time.
    for (int i = 0; i < 3; ++i) pool.post([&] { all_running.arrive_and_wait(); });
}

TEST(Timers, CallsInOrderOfTimeAndNotWhatWasCancelled) {
    std::mutex mutex;
    std::vector<int> order;
    std::latch last(1);
    const auto note = [&](int n) {
        std::lock_guard lock(mutex);
        order.push_back(n);
    };
    Timers timers;
    timers.after(std::chrono::milliseconds(30), [&] { note(3), last.count_down(); });
    timers.after(std::chrono::milliseconds(10), [&] { note(1); });
    const auto cancelled = timers.after(std::chrono::milliseconds(20), [&] { note(2); });
    EXPECT_TRUE(timers.cancel(cancelled));
    EXPECT_FALSE(timers.cancel(cancelled));
    last.wait();
    EXPECT_EQ(order, (std::vector{1, 3}));
}

}  // namespace corten::io
