#include <base/clock.hpp>
#include <base/units.hpp>

#include <gtest/gtest.h>

namespace corten {

using namespace std::chrono_literals;

TEST(Units, SizesArePowersOf1024) {
    EXPECT_EQ(parse_size("64m", "memory").value(), 64 << 20);
    EXPECT_EQ(parse_size("1.5GiB", "memory").value(), 1610612736);
    EXPECT_EQ(parse_size("4096", "memory").value(), 4096);
    EXPECT_EQ(parse_size("-1", "memory").value(), -1);
    for (const char* bad : {"", "m", "12q", "12mm", "-5m", "1e400"})
        EXPECT_FALSE(parse_size(bad, "memory").has_value()) << bad;
}

TEST(Units, HumanSizesAreDockers) {
    EXPECT_EQ(human_size(1234567), "1.235MB");
    EXPECT_EQ(human_size(0), "0B");
    EXPECT_EQ(human_size_binary(64 << 20), "64MiB");
}

TEST(Units, DurationsAreGos) {
    EXPECT_EQ(parse_duration("1h15m30.5s", "d").value(), 1h + 15min + 30500ms);
    EXPECT_EQ(parse_duration("300ms", "d").value(), 300ms);
    EXPECT_EQ(parse_duration("0", "d").value(), 0ns);
    for (const char* bad : {"", "5", "s", "1x", "h1"})
        EXPECT_FALSE(parse_duration(bad, "d").has_value()) << bad;
}

TEST(Units, HumanDurationsAreDockers) {
    EXPECT_EQ(human_duration(500ms), "Less than a second");
    EXPECT_EQ(human_duration(61s), "About a minute");
    EXPECT_EQ(human_duration(47h), "47 hours");
    EXPECT_EQ(human_duration(24h * 20), "2 weeks");
}

TEST(Clock, Rfc3339TrimsZerosAndComesBack) {
    const auto time = parse_rfc3339("2026-11-24T03:44:30.335963507Z").value();
    EXPECT_EQ(rfc3339(time), "2026-11-24T03:44:30.335963507Z");
    EXPECT_EQ(rfc3339(parse_rfc3339("2026-11-24T03:44:30.500Z").value()), "2026-11-24T03:44:30.5Z");
    EXPECT_EQ(rfc3339(WallTime{}), "0001-01-01T00:00:00Z");
    EXPECT_EQ(parse_rfc3339("2026-11-24T04:44:30+01:00").value(),
              parse_rfc3339("2026-11-24T03:44:30Z").value());
    EXPECT_EQ(rfc3339(parse_rfc3339("1013-01-02T03:04:05Z").value()), "1684-10-19T08:00:00Z");
    EXPECT_EQ(rfc3339(parse_rfc3339("9999-12-31T23:59:59Z").value()), "2255-03-14T16:00:00Z");
    EXPECT_FALSE(parse_rfc3339("2026-11-24").has_value());
}

TEST(Clock, UnixTimesTakeNanoseconds) {
    EXPECT_EQ(unix_nanoseconds(parse_unix_time("12.5", "since").value()), 12'500'000'000);
    EXPECT_FALSE(parse_unix_time("x", "since").has_value());
}

}  // namespace corten
