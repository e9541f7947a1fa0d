#include <oci/runtime_spec.hpp>

#include <gmock/gmock.h>

#include <functional>

namespace corten::oci {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view minimal = R"({
  "ociVersion": "1.2.0",
  "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/"},
  "root": {"path": "rootfs"},
  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}]},
  "unknownMember": {"is": "ignored"}
})";

TEST(RuntimeSpec, ReadsAConfiguration) {
    const auto spec = parse_spec(minimal);
    ASSERT_TRUE(spec.has_value()) << spec.error().message();
    EXPECT_EQ(spec->process->args, std::vector<std::string>{"sh"});
    EXPECT_NE(find_namespace(*spec, "pid"), nullptr);
    EXPECT_EQ(find_namespace(*spec, "user"), nullptr);
    EXPECT_TRUE(validate(*spec).has_value());
}

TEST(RuntimeSpec, WritesWhatItReads) {
    const auto spec = parse_spec(minimal);
    const auto again = parse_spec(dump_json(to_json(*spec)));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(dump_json(to_json(*again)), dump_json(to_json(*spec)));
}

TEST(RuntimeSpec, TakesNewerMinorVersionsAndRefusesOthers) {
    auto spec = *parse_spec(minimal);
    for (const char* good : {"1.0.0", "1.0.2-dev", "1.3.0", "1.99.1"}) {
        spec.oci_version = good;
        EXPECT_TRUE(validate(spec).has_value()) << good;
    }
    for (const char* bad : {"", "2.0.0", "0.9.0", "1", "1.0", "one", "1.0.0x"}) {
        spec.oci_version = bad;
        EXPECT_FALSE(validate(spec).has_value()) << bad;
    }
}

TEST(RuntimeSpec, IdsOver32BitsAreRefused) {
    const auto spec = parse_spec(
        R"({"ociVersion":"1.0.0","process":{"user":{"uid":4294967296,"gid":0},"cwd":"/"}})");
    ASSERT_FALSE(spec.has_value());
    EXPECT_THAT(spec.error().message(), HasSubstr("process.user.uid"));
}

void map_users(Spec& spec, std::vector<IdMapping> mappings) {
    auto& section = spec.linux_section;
    section.namespaces.push_back({"user", ""});
    section.uid_mappings = std::move(mappings);
    section.gid_mappings = {{0, 0, 1}};
}

struct Fault {
    const char* field;
    std::function<void(Spec&)> make;
};

class InvalidSpec : public ::testing::TestWithParam<Fault> {};

TEST_P(InvalidSpec, IsRefusedByTheNameOfItsField) {
    auto spec = *parse_spec(minimal);
    GetParam().make(spec);
    const auto result = validate(spec);
    ASSERT_FALSE(result.has_value()) << GetParam().field;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid);
    EXPECT_THAT(result.error().message(), HasSubstr(GetParam().field));
}

INSTANTIATE_TEST_SUITE_P(
    All, InvalidSpec,
    ::testing::Values(
        Fault{"root.path", [](Spec& s) { s.root.reset(); }},
        Fault{"process", [](Spec& s) { s.process.reset(); }},
        Fault{"process.args", [](Spec& s) { s.process->args.clear(); }},
        Fault{"process.args[0]", [](Spec& s) { s.process->args = {std::string("a\0b", 3)}; }},
        Fault{"process.cwd", [](Spec& s) { s.process->cwd = "relative"; }},
        Fault{"process.cwd", [](Spec& s) { s.process->cwd = ""; }},
        Fault{"process.env[0]", [](Spec& s) { s.process->env = {"no equals"}; }},
        Fault{"process.user.uid", [](Spec& s) { s.process->user.uid = 0xffffffff; }},
        Fault{"process.user.umask", [](Spec& s) { s.process->user.umask = 010000; }},
        Fault{"process.oomScoreAdj", [](Spec& s) { s.process->oom_score_adj = 1001; }},
        Fault{"process.apparmorProfile",
              [](Spec& s) { s.process->apparmor_profile = "a\nexec unconfined"; }},
        Fault{"process.apparmorProfile",
              [](Spec& s) { s.process->apparmor_profile = std::string("a\0b", 3); }},
        Fault{"process.selinuxLabel", [](Spec& s) { s.process->selinux_label = "a\n"; }},
        Fault{"linux.mountLabel", [](Spec& s) { s.linux_section.mount_label = "a\x7f"; }},
        Fault{"linux.mountLabel", [](Spec& s) { s.linux_section.mount_label = "a\",b"; }},
        Fault{"process.rlimits[0].type",
              [](Spec& s) { s.process->rlimits = {{"RLIMIT_X", 1, 1}}; }},
        Fault{"process.rlimits[0].soft",
              [](Spec& s) { s.process->rlimits = {{"RLIMIT_CPU", 1, 2}}; }},
        Fault{"process.rlimits[1].type",
              [](Spec& s) { s.process->rlimits = {{"RLIMIT_CPU", 2, 1}, {"RLIMIT_CPU", 2, 1}}; }},
        Fault{"process.scheduler.policy", [](Spec& s) { s.process->scheduler = Scheduler{"X"}; }},
        Fault{"process.ioPriority.class",
              [](Spec& s) { s.process->io_priority = IoPriority{"X", 1}; }},
        Fault{"mounts[0].destination", [](Spec& s) { s.mounts.push_back({}); }},
        Fault{"hooks.prestart[0].path", [](Spec& s) { s.hooks = Hooks{{{"rel", {}, {}, {}}}}; }},
        Fault{"hooks.prestart[0].timeout", [](Spec& s) { s.hooks = Hooks{{{"/x", {}, {}, 0}}}; }},
        Fault{"linux.namespaces[3].type",
              [](Spec& s) { s.linux_section.namespaces.push_back({"nope", ""}); }},
        Fault{"linux.namespaces[3].type",
              [](Spec& s) { s.linux_section.namespaces.push_back({"pid", ""}); }},
        Fault{"linux.namespaces[0].path",
              [](Spec& s) { s.linux_section.namespaces[0].path = "relative"; }},
        Fault{"linux.uidMappings", [](Spec& s) { s.linux_section.uid_mappings = {{0, 0, 1}}; }},
        Fault{"linux.uidMappings",
              [](Spec& s) { s.linux_section.namespaces.push_back({"user", ""}); }},
        Fault{"linux.sysctl.kernel.panic",
              [](Spec& s) { s.linux_section.sysctl = {{"kernel.panic", "1"}}; }},
        Fault{"linux.sysctl.net.x", [](Spec& s) { s.linux_section.sysctl = {{"net.x", "1"}}; }},
        Fault{"linux.devices[0].path",
              [](Spec& s) { s.linux_section.devices = {{"/dev/../x", "c", 1, 3, {}, {}, {}}}; }},
        Fault{"linux.devices[0].type",
              [](Spec& s) { s.linux_section.devices = {{"/dev/x", "q", 1, 3, {}, {}, {}}}; }},
        Fault{"linux.maskedPaths[0]", [](Spec& s) { s.linux_section.masked_paths = {"rel"}; }},
        Fault{"linux.rootfsPropagation",
              [](Spec& s) { s.linux_section.rootfs_propagation = "sideways"; }},
        Fault{"linux.cgroupsPath", [](Spec& s) { s.linux_section.cgroups_path = "/a/../../b"; }},
        Fault{"linux.resources.memory.limit",
              [](Spec& s) { s.linux_section.resources.emplace().memory.emplace().limit = -2; }},
        Fault{"linux.resources.unified",
              [](Spec& s) { s.linux_section.resources.emplace().unified = {{"../x", "1"}}; }},
        Fault{"linux.timeOffsets",
              [](Spec& s) { s.linux_section.time_offsets = {{"monotonic", {1, 0}}}; }},
        Fault{"process.scheduler.flags",
              [](Spec& s) { s.process->scheduler = Scheduler{"SCHED_OTHER", 0, 0, {"X"}}; }},
        Fault{"process.execCPUAffinity.initial",
              [](Spec& s) { s.process->exec_cpu_affinity = ExecCpuAffinity{"0-99999", ""}; }},
        Fault{"process.execCPUAffinity.final",
              [](Spec& s) { s.process->exec_cpu_affinity = ExecCpuAffinity{"", "3-1"}; }},
        Fault{"hostname", [](Spec& s) { s.hostname = std::string(65, 'x'); }},
        Fault{"domainname", [](Spec& s) { s.domainname = std::string(65, 'x'); }},
        Fault{"linux.personality.flags",
              [](Spec& s) { s.linux_section.personality = LinuxPersonality{"LINUX", {"X"}}; }},
        Fault{"linux.memoryPolicy.mode",
              [](Spec& s) { s.linux_section.memory_policy = LinuxMemoryPolicy{"X", "", {}}; }},
        Fault{
            "linux.memoryPolicy.flags",
            [](Spec&
                   s) { s.linux_section.memory_policy = LinuxMemoryPolicy{"MPOL_BIND", "0", {"X"}}; }},
        Fault{
            "linux.memoryPolicy.nodes",
            [](Spec&
                   s) { s.linux_section.memory_policy = LinuxMemoryPolicy{"MPOL_BIND", "64", {}}; }},
        Fault{"linux.uidMappings", [](Spec& s) { map_users(s, {{0, 0, 10}, {5, 100, 10}}); }},
        Fault{"linux.uidMappings", [](Spec& s) { map_users(s, {{20, 0, 10}, {0, 5, 10}}); }}));

struct BadLimit {
    const char* field;
    std::function<void(LinuxResources&)> make;
};

class InvalidResources : public ::testing::TestWithParam<BadLimit> {};

TEST_P(InvalidResources, AreRefusedByTheNameOfTheirField) {
    LinuxResources resources;
    GetParam().make(resources);
    const auto result = validate(resources);
    ASSERT_FALSE(result.has_value()) << GetParam().field;
    EXPECT_THAT(result.error().message(),
                HasSubstr("linux.resources." + std::string(GetParam().field)));
}

INSTANTIATE_TEST_SUITE_P(
    All, InvalidResources,
    ::testing::Values(
        BadLimit{"memory.kernel", [](auto& r) { r.memory.emplace().kernel = -2; }},
        BadLimit{"memory.kernelTCP", [](auto& r) { r.memory.emplace().kernel_tcp = -2; }},
        BadLimit{"cpu.realtimeRuntime", [](auto& r) { r.cpu.emplace().realtime_runtime = -1; }},
        BadLimit{"cpu.idle", [](auto& r) { r.cpu.emplace().idle = 2; }},
        BadLimit{"blockIO.leafWeight", [](auto& r) { r.block_io.emplace().leaf_weight = 5; }},
        BadLimit{"blockIO.weightDevice[0].weight",
                 [](auto& r) { r.block_io.emplace().weight_device = {{8, 0, 1001, {}}}; }},
        BadLimit{"blockIO.weightDevice[0].leafWeight",
                 [](auto& r) { r.block_io.emplace().weight_device = {{8, 0, {}, 9}}; }},
        BadLimit{"blockIO.weightDevice[0].major",
                 [](auto& r) { r.block_io.emplace().weight_device = {{1 << 12, 0, 100, {}}}; }},
        BadLimit{"blockIO.throttleReadBpsDevice[0].minor",
                 [](auto& r) { r.block_io.emplace().throttle_read_bps_device = {{8, -1, 1}}; }},
        BadLimit{"blockIO.throttleWriteIOPSDevice[1].major",
                 [](auto& r) {
                     r.block_io.emplace().throttle_write_iops_device = {{8, 0, 1}, {-1, 0, 1}};
                 }},
        BadLimit{"hugepageLimits", [](auto& r) { r.hugepage_limits = {{"../x", 1}}; }},
        BadLimit{"network.priorities",
                 [](auto& r) { r.network.emplace().priorities = {{"eth0 5\neth1", 1}}; }},
        BadLimit{"rdma", [](auto& r) { r.rdma["mlx5 hca_handle=max"] = {1, 1}; }},
        BadLimit{"unified", [](auto& r) { r.unified = {{"../x/memory.max", "1"}}; }}));

}  // namespace
}  // namespace corten::oci
