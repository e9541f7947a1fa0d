#include <io/timers.hpp>

#include <gtest/gtest.h>

#include <atomic>

namespace corten::io {

TEST(Timers, NothingIsCalledAfterTheEnd) {
    std::atomic<int> calls = 0;
    Timers timers;
    timers.after(std::chrono::hours(1), [&] { ++calls; });
    timers.close();
    timers.after(std::chrono::nanoseconds(0), [&] { ++calls; });
    timers.close();
    EXPECT_EQ(calls, 0);
}

TEST(Timers, CallsInTheOrderOfTheirTimes) {
    std::atomic<int> last = 0;
    std::atomic<bool> in_order = true;
    Timers timers;
    const auto call = [&](int number) {
        return [&, number] {
            in_order = in_order && last == number - 1;
            last = number;
        };
    };
    timers.after(std::chrono::milliseconds(30), call(3));
    timers.after(std::chrono::milliseconds(10), call(1));
    timers.after(std::chrono::milliseconds(20), call(2));
    while (last < 3) std::this_thread::yield();
    EXPECT_TRUE(in_order);
}

}  // namespace corten::io
