#include "names.hpp"

#include "restart_policy.hpp"
#include "signals.hpp"

#include <gtest/gtest.h>

namespace corten::engine {

TEST(Names, MadeUpNamesFollowTheRule) {
    for (int i = 0; i < 200; ++i)
        EXPECT_TRUE(check_container_name(made_up_name(i % 2)).has_value());
}

TEST(Names, TheRuleIsDockers) {
    EXPECT_EQ(check_container_name("/web-1.a_b").value(), "web-1.a_b");
    for (const char* bad : {"", "a", "-bad", "a/b", "../x", "a b", "ä1"})
        EXPECT_FALSE(check_container_name(bad).has_value()) << bad;
    for (const char* bad : {"a/b", "../../etc", ".hidden", "x"})
        EXPECT_FALSE(check_volume_name(bad).has_value()) << bad;
}

TEST(Signals, NamesAndNumbers) {
    EXPECT_EQ(parse_signal("SIGTERM").value(), 15);
    EXPECT_EQ(parse_signal("kill").value(), 9);
    EXPECT_EQ(parse_signal("9").value(), 9);
    EXPECT_EQ(parse_signal("RTMIN+3").value(), 37);
    for (const char* bad : {"", "0", "65", "-1", "NOPE", "RTMIN+99"})
        EXPECT_FALSE(parse_signal(bad).has_value()) << bad;
}

TEST(RestartPolicy, OnFailureCountsAndBacksOff) {
    using namespace std::chrono_literals;
    EXPECT_FALSE(should_restart({.policy = "on-failure", .exit_code = 0}));
    EXPECT_TRUE(should_restart(
        {.policy = "on-failure", .maximum_retries = 2, .restart_count = 1, .exit_code = 1}));
    EXPECT_FALSE(should_restart(
        {.policy = "on-failure", .maximum_retries = 2, .restart_count = 2, .exit_code = 1}));
    EXPECT_FALSE(should_restart({.policy = "always", .stopped_by_user = true}));
    EXPECT_EQ(next_restart_delay(0ms, 1s), 100ms);
    EXPECT_EQ(next_restart_delay(100ms, 1s), 200ms);
    EXPECT_EQ(next_restart_delay(50s, 1s), 60s);
    EXPECT_EQ(next_restart_delay(50s, 10s), 100ms);
}

}  // namespace corten::engine
