#include "apply.hpp"
#include "device_program.hpp"

#include <base/ids.hpp>
#include <sys/file.hpp>

#include <cgroup/group.hpp>
#include <cgroup/layout.hpp>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace corten::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view hybrid_mounts =
    "30 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(Layout, FindsHybridHierarchies) {
    const auto layout = Layout::parse(
        hybrid_mounts, "3:cpu,cpuacct:/a\n2:memory:/b/c\n1:name=systemd:/\n0::/u\n", "");
    ASSERT_TRUE(layout.has_value());
    EXPECT_EQ(layout->mode, Mode::hybrid);
    EXPECT_FALSE(layout->unified());
    ASSERT_NE(layout->find("cpuacct"), nullptr);
    EXPECT_EQ(layout->find("cpuacct")->mount_point, "/sys/fs/cgroup/cpu,cpuacct");
    EXPECT_EQ(layout->find("memory")->own_path, "/b/c");
    EXPECT_NE(layout->find("name=systemd"), nullptr);
    EXPECT_EQ(layout->find("pids"), nullptr);
    EXPECT_EQ(layout->v2->own_path, "/u");
}

TEST(Layout, FindsPureV2AndNothing) {
    const auto v2 = Layout::parse("40 30 0:37 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n",
                                  "cpu memory pids\n");
    EXPECT_EQ(v2->mode, Mode::v2);
    EXPECT_THAT(v2->v2->controllers, ElementsAre("cpu", "memory", "pids"));
    EXPECT_EQ(Layout::parse("", "", "")->mode, Mode::none);
    EXPECT_EQ(Layout::parse("garbage - cgroup\n\n", "x", "")->mode, Mode::none);
}

TEST(Conversions, MeetAtDefaultsAndEnds) {
    EXPECT_EQ(weight_from_shares(2), 1U);
    EXPECT_EQ(weight_from_shares(1024), 100U);
    EXPECT_EQ(weight_from_shares(262144), 10000U);
    EXPECT_EQ(io_weight_from_blkio(10), 1U);
    EXPECT_EQ(io_weight_from_blkio(1000), 10000U);
}

TEST(Conversions, FollowTheFormulasOfCrunsManual) {
    const std::pair<std::uint64_t, std::uint64_t> shares[] = {
        {0, 0},    {1, 1},      {3, 2},       {10, 4},        {100, 17},
        {512, 59}, {2048, 174}, {10000, 627}, {100000, 4340}, {300000, 10000}};
    for (const auto& [given, weight] : shares)
        EXPECT_EQ(weight_from_shares(given), weight) << given;
    const std::pair<std::uint16_t, std::uint64_t> weights[] = {
        {11, 11}, {100, 910}, {500, 4950}, {999, 9989}};
    for (const auto& [given, weight] : weights) EXPECT_EQ(io_weight_from_blkio(given), weight);
}

/// A cgroup file system of ordinary files: the kernel's are made here in its place.
class FakeTree : public ::testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(root_); }
    void TearDown() override { std::filesystem::remove_all(root_); }
    void file(const std::string& path, std::string_view content) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << content;
    }
    std::string text(const std::string& path) { return sys::read_file(root_ + path).value_or("-"); }
    Layout v1() {
        Layout layout;
        layout.mode = Mode::v1;
        for (const char* name : {"cpu", "memory", "pids", "blkio"})
            layout.v1.push_back({root_ + "/" + name, {name}, "/", "/"});
        return layout;
    }
    Layout v2() {
        Layout layout;
        layout.mode = Mode::v2;
        layout.v2 = Hierarchy{root_, {"cpu", "memory"}, "/", "/"};
        return layout;
    }
    std::string root_ = "/tmp/corten-rt-cgroup-" + random_hex(4);
};

TEST_F(FakeTree, WritesV1Limits) {
    for (const char* name : {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"})
        file(std::string("/memory/c/") + name, "");
    file("/cpu/c/cpu.shares", "");
    file("/cpu/c/cpu.cfs_quota_us", "");
    file("/cpu/c/cpu.cfs_period_us", "");
    file("/pids/c/pids.max", "");
    file("/blkio/c/blkio.throttle.read_bps_device", "");
    const auto group = Group::open(v1(), "/c");
    ASSERT_TRUE(group.has_value());
    oci::LinuxResources limits;
    limits.memory.emplace().limit = 100;
    limits.memory->swap = 200;
    limits.cpu.emplace().quota = 50000;
    limits.cpu->period = 100000;
    limits.pids = oci::LinuxPids{0};
    limits.block_io.emplace().throttle_read_bps_device = {{8, 0, 1000}};
    const auto applied = group->apply(limits);
    ASSERT_TRUE(applied.has_value()) << applied.error().message();
    EXPECT_EQ(text("/memory/c/memory.limit_in_bytes"), "100");
    EXPECT_EQ(text("/memory/c/memory.memsw.limit_in_bytes"), "200");
    EXPECT_EQ(text("/cpu/c/cpu.cfs_quota_us"), "50000");
    EXPECT_EQ(text("/pids/c/pids.max"), "max");
    EXPECT_EQ(text("/blkio/c/blkio.throttle.read_bps_device"), "8:0 1000");
}

TEST_F(FakeTree, FindsGroupsBelowByController) {
    for (const char* name : {"cpu", "memory", "pids", "blkio"})
        file(fmt::format("/{}/c/cgroup.procs", name), "");
    file("/memory/c/sub/cgroup.procs", "");
    const auto group = Group::open(v1(), "/c");
    const auto below = group->below({"memory"}, "sub");
    ASSERT_TRUE(below.has_value()) << below.error().message();
    EXPECT_EQ(below->directory("memory"), root_ + "/memory/c/sub");
    EXPECT_EQ(below->directory("cpu"), root_ + "/cpu/c");
    EXPECT_EQ(group->below({}, "sub").error().kind(), ErrorKind::not_found);
    EXPECT_EQ(group->below({"hugetlb"}, "sub").error().kind(), ErrorKind::invalid);
    EXPECT_EQ(group->below({"memory"}, "sub/../..").error().kind(), ErrorKind::invalid);
}

TEST_F(FakeTree, NamesTheKernelOptionOfWhatIsMissing) {
    file("/memory/c/memory.limit_in_bytes", "");
    const auto group = Group::open(v1(), "/c");
    oci::LinuxResources limits;
    limits.memory.emplace().swap = 5;
    auto result = group->apply(limits);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::unsupported);
    EXPECT_THAT(result.error().message(), HasSubstr("swapaccount"));
    limits = {};
    limits.hugepage_limits = {{"2MB", 1}};
    EXPECT_THAT(group->apply(limits).error().message(), HasSubstr("CONFIG_CGROUP_HUGETLB"));
}

TEST_F(FakeTree, NamesTheFieldOfWhatIsRefused) {
    const auto refused = [&](const Layout& layout, const auto& set) {
        oci::LinuxResources limits;
        set(limits);
        return Group::open(layout, "/c")->apply(limits).error().message();
    };
    for (const char* name : {"cpu", "memory", "pids", "blkio"})
        file(fmt::format("/{}/c/cgroup.procs", name), "");
    const auto quota = [](auto& limits) { limits.cpu.emplace().quota = 5; };
    const auto pids = [](auto& limits) { limits.pids = oci::LinuxPids{5}; };
    const auto rate = [](auto& limits) {
        limits.block_io.emplace().throttle_write_iops_device = {{8, 0, 1}};
    };
    EXPECT_THAT(refused(v1(), quota), HasSubstr("linux.resources.cpu.quota: "));
    EXPECT_THAT(refused(v1(), pids), HasSubstr("linux.resources.pids.limit: "));
    EXPECT_THAT(refused(v1(), rate),
                HasSubstr("linux.resources.blockIO.throttleWriteIOPSDevice: "));
    file("/c/cgroup.procs", "");
    EXPECT_THAT(refused(v2(), quota), HasSubstr("linux.resources.cpu.quota: "));
    EXPECT_THAT(refused(v2(), pids), HasSubstr("linux.resources.pids.limit: "));
    EXPECT_THAT(refused(v2(), rate),
                HasSubstr("linux.resources.blockIO.throttleWriteIOPSDevice: "));
}

TEST_F(FakeTree, WritesV2LimitsInItsUnits) {
    for (const char* name :
         {"memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max"})
        file(std::string("/c/") + name, "");
    const auto group = Group::open(v2(), "/c");
    oci::LinuxResources limits;
    limits.memory.emplace().limit = 100;
    limits.memory->swap = 250;
    limits.memory->reservation = 50;
    limits.cpu.emplace().shares = 1024;
    limits.cpu->quota = 50000;
    limits.cpu->period = 100000;
    ASSERT_TRUE(group->apply(limits).has_value());
    EXPECT_EQ(text("/c/memory.max"), "100");
    EXPECT_EQ(text("/c/memory.swap.max"), "150");
    EXPECT_EQ(text("/c/memory.low"), "50");
    EXPECT_EQ(text("/c/cpu.weight"), "100");
    EXPECT_EQ(text("/c/cpu.max"), "50000 100000");
}

TEST_F(FakeTree, NoLimitOfMemoryIsNoneOfSwapEither) {
    for (const char* name : {"memory.max", "memory.swap.max", "memory.low"})
        file(std::string("/c/") + name, "");
    const auto group = Group::open(v2(), "/c");
    const auto swap_of = [&](std::optional<std::int64_t> limit, std::optional<std::int64_t> swap) {
        file("/c/memory.swap.max", "");
        oci::LinuxResources limits;
        limits.memory.emplace().limit = limit;
        limits.memory->swap = swap;
        const auto applied = group->apply(limits);
        return applied ? text("/c/memory.swap.max") : applied.error().message();
    };
    EXPECT_EQ(swap_of(-1, {}), "max");
    EXPECT_EQ(text("/c/memory.max"), "max");
    EXPECT_EQ(swap_of(100, -1), "max");
    EXPECT_EQ(swap_of(100, 100), "0");
    EXPECT_EQ(swap_of(100, {}), "");
    EXPECT_EQ(swap_of({}, {}), "");
    EXPECT_THAT(swap_of(100, 50), HasSubstr("is below the limit"));
}

TEST_F(FakeTree, ReadsV1AndV2Stats) {
    file("/memory/c/memory.usage_in_bytes", "123\n");
    file("/memory/c/memory.stat", "cache 7\ntotal_inactive_file 3\n");
    file("/pids/c/pids.current", "4\n");
    file("/pids/c/pids.max", "max\n");
    file("/blkio/c/blkio.throttle.io_service_bytes", "8:0 Read 10\n8:0 Write 20\nTotal 30\n");
    const auto one = Group::open(v1(), "/c")->stats();
    EXPECT_EQ(one->memory.usage, 123U);
    EXPECT_EQ(one->memory.stat.at("total_inactive_file"), 3U);
    EXPECT_EQ(one->pids.limit, 0U);
    ASSERT_EQ(one->block_io.service_bytes.size(), 2U);
    EXPECT_EQ(one->block_io.service_bytes[1].op, "Write");
    file("/c/cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\n");
    file("/c/memory.events", "max 2\noom_kill 1\n");
    file("/c/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n");
    const auto two = Group::open(v2(), "/c")->stats();
    EXPECT_TRUE(two->v2);
    EXPECT_EQ(two->cpu.usage_ns, 5000U);
    EXPECT_EQ(two->memory.oom_kills, 1U);
    EXPECT_EQ(two->block_io.service_bytes[1].value, 2U);
}

TEST_F(FakeTree, ReadsStatsOfPagesProcessorsAndPressure) {
    for (const char* name : {"usage_in_bytes", "max_usage_in_bytes", "failcnt"})
        file(fmt::format("/hugetlb/c/hugetlb.2MB.{}", name), "4096\n");
    file("/hugetlb/c/hugetlb.2MB.rsvd.usage_in_bytes", "1\n");
    file("/cpuset/c/cpuset.cpus", "0-1\n");
    file("/cpuset/c/cpuset.sched_relax_domain_level", "-1\n");
    file("/memory/c/memory.kmem.tcp.usage_in_bytes", "17\n");
    auto layout = v1();
    for (const std::string name : {"hugetlb", "cpuset"})
        layout.v1.push_back({root_ + "/" + name, {name}, "/", "/"});
    const auto one = Group::open(layout, "/c")->stats();
    ASSERT_EQ(one->hugetlb.size(), 1U);
    EXPECT_EQ(one->hugetlb.at("2MB").max_usage, 4096U);
    EXPECT_EQ(one->cpuset.cpus, "0-1");
    EXPECT_EQ(one->cpuset.switches.at("sched_relax_domain_level"), -1);
    EXPECT_EQ(one->memory.tcp_usage, 17U);
    EXPECT_FALSE(one->cpu.pressure.has_value());
    file("/c/hugetlb.1GB.current", "8192\n");
    file("/c/hugetlb.1GB.events", "max 3\n");
    file("/c/cpuset.cpus.effective", "1,3\n");
    file("/c/memory.stat", "sock 19\n");
    file("/c/cpu.pressure", "some avg10=1.50 avg60=0.25 avg300=0.00 total=4711\n");
    const auto two = Group::open(v2(), "/c")->stats();
    EXPECT_EQ(two->hugetlb.at("1GB").usage, 8192U);
    EXPECT_EQ(two->hugetlb.at("1GB").fail_count, 3U);
    EXPECT_EQ(two->cpuset.cpus, "1,3");
    EXPECT_EQ(two->memory.tcp_usage, 19U);
    EXPECT_EQ(two->cpu.pressure->some.average10, 1.5);
    EXPECT_EQ(two->cpu.pressure->some.total, 4711U);
    EXPECT_FALSE(two->memory.pressure.has_value());
}

TEST_F(FakeTree, CompletesAGroupThatOthersBegan) {
    const auto layout = v1();
    file("/cpu/s.slice/x.scope/cgroup.procs", "17\n");
    for (const char* name : {"memory", "pids", "blkio"})
        std::filesystem::create_directories(root_ + "/" + name);
    const auto group = Group::complete(layout, "/s.slice/x.scope");
    ASSERT_TRUE(group.has_value()) << group.error().message();
    EXPECT_EQ(group->directories().size(), 4U);
    EXPECT_TRUE(sys::exists(root_ + "/blkio/s.slice/x.scope"));
    EXPECT_EQ(Group::complete(layout, "/s.slice/none.scope").error().kind(), ErrorKind::not_found);
    EXPECT_FALSE(sys::exists(root_ + "/blkio/s.slice/none.scope"));
}

TEST_F(FakeTree, CompletingUndoesWhatItMadeWhenItFails) {
    const auto layout = v1();
    file("/cpu/s.slice/x.scope/cgroup.procs", "17\n");
    for (const char* name : {"memory", "pids"})
        std::filesystem::create_directories(root_ + "/" + name);
    file("/blkio/s.slice", "no directory");
    EXPECT_FALSE(Group::complete(layout, "/s.slice/x.scope").has_value());
    EXPECT_FALSE(sys::exists(root_ + "/memory/s.slice"));
    EXPECT_TRUE(sys::exists(root_ + "/cpu/s.slice/x.scope"));
}

TEST_F(FakeTree, OpensTheUnifiedHalfOfAHybridMachineWhereItIs) {
    auto layout = v1();
    layout.mode = Mode::hybrid;
    layout.v2 = Hierarchy{root_ + "/unified", {}, "/", "/"};
    for (const char* name : {"cpu/x", "memory/x", "cpu/y", "unified/x"})
        std::filesystem::create_directories(root_ + "/" + name);
    EXPECT_THAT(Group::open(layout, "/x")->directories(),
                ElementsAre(root_ + "/cpu/x", root_ + "/memory/x", root_ + "/unified/x"));
    EXPECT_THAT(Group::open(layout, "/y")->directories(), ElementsAre(root_ + "/cpu/y"));
}

TEST(Paths, MayNotClimb) {
    Layout layout;
    layout.mode = Mode::v2;
    layout.v2 = Hierarchy{"/tmp", {}, "/", "/"};
    EXPECT_FALSE(Group::create(layout, "/a/../../b").has_value());
    EXPECT_FALSE(Group::create(layout, "").has_value());
    EXPECT_FALSE(Group::create(layout, "/").has_value());
}

/// Runs a device program as the kernel would.
bool allows(const std::vector<bpf_insn>& code, const bpf_cgroup_dev_ctx& context) {
    std::uint32_t reg[6] = {};
    const std::uint32_t fields[3] = {context.access_type, context.major, context.minor};
    for (std::size_t at = 0; at < code.size(); ++at) {
        const auto& i = code[at];
        const std::uint32_t operand =
            (i.code & BPF_X) != 0 ? reg[i.src_reg] : static_cast<std::uint32_t>(i.imm);
        switch (i.code) {
            case BPF_LDX | BPF_MEM | BPF_W:
                reg[i.dst_reg] = fields[i.off / 4];
                break;
            case BPF_ALU | BPF_MOV | BPF_K:
            case BPF_ALU | BPF_MOV | BPF_X:
                reg[i.dst_reg] = operand;
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                reg[i.dst_reg] &= operand;
                break;
            case BPF_ALU | BPF_RSH | BPF_K:
                reg[i.dst_reg] >>= operand;
                break;
            case BPF_JMP | BPF_JNE | BPF_K:
            case BPF_JMP | BPF_JNE | BPF_X:
                if (reg[i.dst_reg] != operand) at += static_cast<std::size_t>(i.off);
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                if (reg[i.dst_reg] == operand) at += static_cast<std::size_t>(i.off);
                break;
            case BPF_JMP | BPF_EXIT:
                return reg[0] != 0;
            default:
                ADD_FAILURE() << "instruction " << int{i.code};
                return false;
        }
    }
    ADD_FAILURE() << "ran off the end";
    return false;
}

bpf_cgroup_dev_ctx ask(std::uint32_t type, std::uint32_t access, std::uint32_t major,
                       std::uint32_t minor) {
    return {(access << 16) | type, major, minor};
}

TEST(DeviceProgram, LaterRulesWin) {
    const std::vector<oci::DeviceRule> rules{{false, "", {}, {}, "rwm"},
                                             {true, "c", 1, 3, "rw"},
                                             {true, "c", -1, -1, "m"},
                                             {false, "c", 10, 229, "rwm"}};
    const auto code = compile_device_rules(rules);
    ASSERT_TRUE(code.has_value());
    constexpr std::uint32_t block = BPF_DEVCG_DEV_BLOCK;
    constexpr std::uint32_t chr = BPF_DEVCG_DEV_CHAR;
    constexpr std::uint32_t mknod = BPF_DEVCG_ACC_MKNOD;
    constexpr std::uint32_t read = BPF_DEVCG_ACC_READ;
    constexpr std::uint32_t write = BPF_DEVCG_ACC_WRITE;
    EXPECT_TRUE(allows(*code, ask(chr, read | write, 1, 3)));
    EXPECT_TRUE(allows(*code, ask(chr, mknod, 77, 1)));
    EXPECT_FALSE(allows(*code, ask(chr, read | mknod, 77, 1)));
    EXPECT_FALSE(allows(*code, ask(chr, mknod, 10, 229)));
    EXPECT_FALSE(allows(*code, ask(block, read, 8, 0)));
    EXPECT_FALSE(allows(*code, ask(block, mknod, 1, 3)));
}

TEST(DeviceProgram, WithoutRulesAllIsAllowed) {
    const auto code = compile_device_rules({});
    EXPECT_TRUE(allows(*code, ask(BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_WRITE, 8, 0)));
}

}  // namespace
}  // namespace corten::cgroup
