#include "systemd_limits.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace corten::runtime_cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr auto infinity = std::numeric_limits<std::uint64_t>::max();

auto is(const char* name, std::uint64_t value) {
    return Pair(std::string(name), BusValue(value));
}

auto is(const char* name, BusBytes bits) {
    return Pair(std::string(name), BusValue(std::move(bits)));
}

BusProperties of_file(const std::string& file, const std::string& value, LimitsHost host = {}) {
    oci::LinuxResources resources;
    resources.unified[file] = value;
    return unit_limits(resources, host);
}

TEST(UnitLimits, MemoryOfV2CountsSwapAlone) {
    oci::LinuxResources resources;
    resources.memory = {.limit = 64 << 20, .reservation = 32 << 20, .swap = 96 << 20};
    EXPECT_THAT(unit_limits(resources, {}),
                ElementsAre(is("MemoryMax", 64 << 20), is("MemoryLow", 32 << 20),
                            is("MemorySwapMax", 32 << 20)));
    EXPECT_THAT(unit_limits(resources, {.v2 = false}), ElementsAre(is("MemoryLimit", 64 << 20)));
    for (const auto swap : {std::optional<std::int64_t>(-1), std::optional<std::int64_t>()}) {
        resources.memory = {.limit = -1, .swap = swap};
        EXPECT_THAT(unit_limits(resources, {}),
                    ElementsAre(is("MemoryMax", infinity), is("MemorySwapMax", infinity)));
    }
}

TEST(UnitLimits, QuotaIsForASecondAndRoundedUp) {
    oci::LinuxResources resources;
    resources.cpu = {.shares = 2048, .quota = 12345, .period = 50000};
    EXPECT_THAT(unit_limits(resources, {.v2 = false}),
                ElementsAre(is("CPUShares", 2048), is("CPUQuotaPeriodUSec", 50000),
                            is("CPUQuotaPerSecUSec", 250000)));
}

TEST(UnitLimits, ProcessorsAndNodesAreBits) {
    oci::LinuxResources resources;
    resources.cpu = {.cpus = "0-1,9", .mems = "0"};
    EXPECT_THAT(unit_limits(resources, {}), ElementsAre(is("AllowedCPUs", BusBytes{3, 2}),
                                                        is("AllowedMemoryNodes", BusBytes{1})));
    EXPECT_THAT(unit_limits(resources, {.v2 = false}), IsEmpty());
}

TEST(UnitLimits, IdleHasTheWeightNothingWhereSystemdKnowsIt) {
    oci::LinuxResources resources;
    resources.cpu = {.shares = 2048, .idle = 1};
    EXPECT_THAT(unit_limits(resources, {}), ElementsAre(is("CPUWeight", 0)));
    EXPECT_THAT(unit_limits(resources, {.knows_idle = false}), IsEmpty());
    EXPECT_THAT(of_file("cpu.idle", "1"), ElementsAre(is("CPUWeight", 0)));
    EXPECT_THAT(of_file("cpu.idle", "0"), IsEmpty());
}

/// systemd writes 100 + (W - 100) * 900 / 9900 into io.bfq.weight for a W above 100.
TEST(UnitLimits, WeightOfDevicesComesOutOfSystemdAsItWent) {
    for (const std::uint16_t weight : std::vector<std::uint16_t>{10, 99, 100, 101, 300, 1000}) {
        oci::LinuxResources resources;
        resources.block_io = {.weight = weight};
        const auto made = unit_limits(resources, {.has_bfq = true});
        ASSERT_EQ(made.size(), 1U);
        const auto theirs = std::get<std::uint64_t>(made[0].second);
        EXPECT_EQ(theirs <= 100 ? theirs : 100 + (theirs - 100) * 900 / 9900, weight);
    }
    oci::LinuxResources resources;
    resources.block_io = {.weight = 1000};
    EXPECT_THAT(unit_limits(resources, {}), ElementsAre(is("IOWeight", 10000)));
    EXPECT_THAT(unit_limits(resources, {.v2 = false}), ElementsAre(is("BlockIOWeight", 1000)));
}

TEST(UnitLimits, FilesOfUnifiedThatSystemdKnows) {
    EXPECT_THAT(of_file("memory.high", "64M"), ElementsAre(is("MemoryHigh", 64 << 20)));
    EXPECT_THAT(of_file("memory.max", "max\n"), ElementsAre(is("MemoryMax", infinity)));
    EXPECT_THAT(of_file("memory.swap.max", "0"), ElementsAre(is("MemorySwapMax", 0)));
    EXPECT_THAT(of_file("pids.max", "20"), ElementsAre(is("TasksMax", 20)));
    EXPECT_THAT(of_file("io.weight", "default 200"), ElementsAre(is("IOWeight", 200)));
    EXPECT_THAT(of_file("cpuset.cpus", "1"), ElementsAre(is("AllowedCPUs", BusBytes{2})));
    EXPECT_THAT(of_file("cpu.max", "50000 100000"),
                ElementsAre(is("CPUQuotaPeriodUSec", 100000), is("CPUQuotaPerSecUSec", 500000)));
    EXPECT_THAT(of_file("cpu.max", "max"),
                ElementsAre(is("CPUQuotaPeriodUSec", 100000), is("CPUQuotaPerSecUSec", infinity)));
}

TEST(UnitLimits, WhatIsNoLimitOfTheirsIsForTheFileToRefuse) {
    for (const auto& [file, value] :
         std::vector<std::pair<std::string, std::string>>{{"memory.max", ""},
                                                          {"memory.max", "much"},
                                                          {"memory.max", "-1"},
                                                          {"memory.max", "M"},
                                                          {"memory.max", "99999999E"},
                                                          {"cpu.max", "1 0"},
                                                          {"cpu.max", "x 100000"},
                                                          {"cpuset.cpus", "9-1"},
                                                          {"io.weight", "8:0 200"},
                                                          {"memory.oom.group", "1"}})
        EXPECT_THAT(of_file(file, value), IsEmpty()) << file << " " << value;
    EXPECT_THAT(of_file("memory.max", "1M", {.v2 = false}), IsEmpty());
}

TEST(UnitLimits, FileOfUnifiedIsTheLastWord) {
    oci::LinuxResources resources;
    resources.memory = {.limit = 64 << 20};
    resources.unified["memory.max"] = "32M";
    EXPECT_THAT(unit_limits(resources, {}),
                ElementsAre(is("MemoryMax", 64 << 20), is("MemoryMax", 32 << 20)));
}

TEST(DriverName, IsOfTheKindAsked) {
    constexpr std::string_view devices =
        "Character devices:\n  1 mem\n 10 misc\n136 pts\n\nBlock devices:\n  1 ramdisk\n259 "
        "blkext\n";
    EXPECT_EQ(driver_name(devices, 'c', 136), "pts");
    EXPECT_EQ(driver_name(devices, 'b', 1), "ramdisk");
    EXPECT_EQ(driver_name(devices, 'c', 259), "");
}

}  // namespace
}  // namespace corten::runtime_cli
