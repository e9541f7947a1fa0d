#include "support.hpp"

#include <sys/clone.hpp>
#include <sys/mount.hpp>
#include <sys/namespaces.hpp>

#include <gmock/gmock.h>
#include <sched.h>

namespace corten::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ContainerTest, RunsAProgramAndTellsItsExitCode) {
    const auto outcome = run(spec({"sh", "-c", "echo hello; exit 7"}));
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.code, 7);
    EXPECT_EQ(outcome.output, "hello\n");
}

TEST_F(ContainerTest, SaysWhatClientsMatchOnWhenTheProgramCannotRun) {
    EXPECT_EQ(run(spec({"nosuch"})).error, "exec: \"nosuch\": executable file not found in $PATH");
    EXPECT_THAT(run(spec({"/nosuch"})).error, HasSubstr("no such file or directory"));
    EXPECT_THAT(run(spec({"/etc/passwd"})).error, HasSubstr("permission denied"));
    EXPECT_THAT(run(spec({"/etc"})).error, HasSubstr("is a directory: permission denied"));
    write(root() + "/bin/script", "no format");
    ::chmod((root() + "/bin/script").c_str(), 0755);
    EXPECT_THAT(run(spec({"script"})).error, HasSubstr("exec format error"));
}

TEST_F(ContainerTest, NothingOfTheHostIsOpenInside) {
    const Fd stray = std::move(*sys::open("/etc", O_RDONLY));
    ::fcntl(stray.raw(), F_SETFD, 0);  // inheritable, as a careless caller's would be
    const auto outcome = run(spec({"ls", "/proc/self/fd"}));
    EXPECT_EQ(outcome.output, "0\n1\n2\n3\n");  // 3 is the directory that ls reads
}

TEST_F(ContainerTest, HasItsOwnNamespacesMountsAndName) {
    auto config = spec({});
    const auto outcome = run(shell(config,
                                   "hostname; echo $$; ls /dev; grep -c . /proc/mounts; "
                                   "echo x > /proc/sys/kernel/hostname"));
    EXPECT_THAT(outcome.output, HasSubstr("box\n1\n"));
    EXPECT_THAT(outcome.output, HasSubstr("null\nptmx\npts\nrandom\nstderr"));
    EXPECT_THAT(outcome.output, HasSubstr("Read-only file system"));
}

TEST_F(ContainerTest, GivesUserGroupsUmaskAndCapabilities) {
    auto config = spec({});
    config.process->user = {.uid = 1000, .gid = 1000, .umask = 027, .additional_gids = {5, 6}};
    const auto outcome = run(shell(config, "id; umask; echo $HOME; grep Cap /proc/self/status"));
    EXPECT_THAT(outcome.output, HasSubstr("uid=1000(user) gid=1000 groups=5,6"));
    EXPECT_THAT(outcome.output, HasSubstr("0027\n/home/user\n"));
    EXPECT_THAT(outcome.output, HasSubstr("CapEff:\t0000000000000000"));
    EXPECT_THAT(outcome.output, HasSubstr("CapInh:\t0000000000000000"));
}

TEST_F(ContainerTest, AmbientCapabilitiesReachAnOrdinaryUser) {
    auto config = spec({});
    config.process->user.uid = 1000;
    config.process->capabilities->inheritable = {"CAP_CHOWN"};
    config.process->capabilities->ambient = {"CAP_CHOWN"};
    EXPECT_THAT(run(shell(config, "grep CapEff /proc/self/status")).output,
                HasSubstr("CapEff:\t0000000000000001"));
}

TEST_F(ContainerTest, ReadOnlyRootAndBindMounts) {
    auto config = spec({});
    config.root->readonly = true;
    std::filesystem::create_directories(bundle() + "/data");
    write(bundle() + "/data/file", "content");
    config.mounts.push_back({"/mnt/a/b", "bind", "data", {"rbind", "ro"}, {}, {}});
    config.mounts.push_back({"/mnt/file", "bind", bundle() + "/data/file", {"bind"}, {}, {}});
    const auto outcome = run(shell(config,
                                   "cat /mnt/a/b/file /mnt/file; touch /mnt/a/b/x; touch /x; "
                                   "echo more > /mnt/file"));
    EXPECT_THAT(outcome.output, HasSubstr("contentcontent"));
    EXPECT_THAT(outcome.output, HasSubstr("touch: /mnt/a/b/x: Read-only"));
    EXPECT_THAT(outcome.output, HasSubstr("touch: /x: Read-only"));
    EXPECT_EQ(*sys::read_file(bundle() + "/data/file"), "more\n");
}

TEST_F(ContainerTest, TmpfsCopiesUpWhatItCovers) {
    auto config = spec({"cat", "/etc/passwd"});
    config.mounts.push_back({"/etc", "tmpfs", "tmpfs", {"tmpcopyup"}, {}, {}});
    EXPECT_THAT(run(config).output, HasSubstr("root:x:0:0"));
}

TEST_F(ContainerTest, TakesADetachedMountAsItsRoot) {
    const Fd file = std::move(*sys::memory_file("output"));
    auto config = spec({"sh", "-c", "ls /; touch /here"});
    config.root->path = "/nonexistent-corten-root";
    auto launch = request(std::move(config), file);
    const Fd at = std::move(*sys::open(root(), O_PATH | O_DIRECTORY));
    launch.root_mount = std::move(*sys::clone_mount(at, "", sys::Depth::single));
    const auto outcome = run(std::move(launch), file);
    EXPECT_EQ(outcome.error, "");
    EXPECT_THAT(outcome.output, HasSubstr("bin\n"));
    EXPECT_TRUE(sys::exists(root() + "/here"));
}

TEST_F(ContainerTest, JoinsANetworkNamespaceByDescriptor) {
    Fd network;
    const auto made = sys::clone_process({.flags = CLONE_NEWNET});
    ASSERT_TRUE(made.has_value());
    if (!*made) {
        ::pause();
        ::_exit(0);
    }
    const sys::OwnedChild holder((*made)->duplicate());
    network = std::move(*sys::network_namespace_of(holder.process().pid()));
    struct ::stat wanted{};
    ::fstat(network.raw(), &wanted);
    const Fd file = std::move(*sys::memory_file("output"));
    auto launch = request(spec({"readlink", "/proc/self/ns/net"}), file);
    launch.namespaces.emplace("network", std::move(network));
    EXPECT_EQ(run(std::move(launch), file).output, fmt::format("net:[{}]\n", wanted.st_ino));
}

TEST_F(ContainerTest, MapsIdsInAUserNamespace) {
    auto config = spec({});
    config.linux_section.namespaces.push_back({"user", ""});
    config.linux_section.uid_mappings = {{0, 100000, 65536}};
    config.linux_section.gid_mappings = {{0, 100000, 65536}};
    std::filesystem::permissions(bundle(), std::filesystem::perms(0755));
    ASSERT_EQ(::chown(root().c_str(), 100000, 100000), 0);
    const auto outcome = run(shell(config,
                                   "id -u; cat /proc/self/uid_map; touch /mine; ls /dev/null; "
                                   "echo > /dev/null && echo works"));
    EXPECT_EQ(outcome.error, "");
    EXPECT_THAT(outcome.output, HasSubstr("0\n         0     100000      65536"));
    EXPECT_THAT(outcome.output, HasSubstr("works"));
    EXPECT_EQ(sys::stat(root() + "/mine")->st_uid, 100000U);
}

TEST_F(ContainerTest, ShiftsClocksInATimeNamespace) {
    auto config = spec({"cat", "/proc/uptime"});
    config.linux_section.namespaces.push_back({"time", ""});
    config.linux_section.time_offsets = {{"boottime", {1000000000, 0}}};
    const auto outcome = run(config);
    EXPECT_EQ(outcome.error, "");
    EXPECT_GT(std::atof(outcome.output.c_str()), 1e9);
}

TEST_F(ContainerTest, SetsSysctlsAndLimits) {
    auto config = spec({});
    config.linux_section.sysctl = {{"net.ipv4.ip_unprivileged_port_start", "80"},
                                   {"kernel/shmmni", "77"}};
    config.process->rlimits = {{"RLIMIT_NOFILE", 64, 64}};
    config.linux_section.resources.emplace().pids = oci::LinuxPids{20};
    config.linux_section.resources->memory.emplace().limit = 64 << 20;
    const auto outcome =
        run(shell(config,
                  "cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                  "/proc/sys/kernel/shmmni; ulimit -n; "
                  "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"));
    EXPECT_THAT(outcome.output, HasSubstr("80\n77\n64\n20\n"));
}

TEST_F(ContainerTest, GroupThatIsGoneHasNothingToKillOrThaw) {
    const auto layout = cgroup::Layout::detect();
    ASSERT_TRUE(layout.has_value());
    const auto group = cgroup::Group::create(*layout, "/corten-rt-test/gone-" + random_hex(4));
    ASSERT_TRUE(group.has_value()) << group.error().message();
    ASSERT_TRUE(group->remove().has_value());
    EXPECT_TRUE(group->thaw().has_value());
    EXPECT_TRUE(group->kill_all().has_value());
}

TEST_F(ContainerTest, ShowsNoGroupButItsOwn) {
    for (const bool own_namespace : {false, true}) {
        auto config = spec({});
        if (own_namespace) config.linux_section.namespaces.push_back({"cgroup", ""});
        const auto outcome = run(
            shell(config,
                  "cd /sys/fs/cgroup; cat cgroup.procs 2>/dev/null || "
                  "cat */cgroup.procs; echo; ls -d */corten-rt-test corten-rt-test 2>/dev/null"));
        EXPECT_THAT(outcome.output, HasSubstr("1\n"));
        EXPECT_THAT(outcome.output, Not(HasSubstr("corten-rt-test"))) << own_namespace;
    }
}

TEST_F(ContainerTest, GivesATerminalOfTheContainersOwn) {
    auto config = spec({"sh", "-c", "tty; test -c /dev/console && echo console"});
    config.process->terminal = true;
    config.process->console_size = oci::ConsoleSize{30, 100};
    auto created = create(request(config, FdView()));
    ASSERT_TRUE(created.has_value()) << created.error().message();
    ASSERT_TRUE(created->console_master.valid());
    ASSERT_TRUE(created->start().has_value());
    created->init.wait().ignore();
    char text[256];
    const ssize_t n = ::read(created->console_master.raw(), text, sizeof text);
    EXPECT_THAT(std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0),
                HasSubstr("/dev/pts/0\r\nconsole"));
    EXPECT_TRUE(created->cgroup.remove().has_value());
}

TEST_F(ContainerTest, RunsHooksInOrderWithTheStateOnTheirInput) {
    auto config = spec({"true"});
    const auto log = bundle() + "/log";
    const auto hook = [&](const char* name) {
        return oci::Hook{
            "/bin/sh",
            {"sh", "-c",
             fmt::format("echo {} $(grep -o '\"status\":\"[a-z]*\"') >> {}", name, log)},
            {"PATH=/bin:/usr/bin"},
            {}};
    };
    auto& hooks = config.hooks.emplace();
    hooks.prestart = {hook("prestart")};
    hooks.create_runtime = {hook("createRuntime")};
    hooks.create_container = {hook("createContainer")};
    EXPECT_EQ(run(config).error, "");
    EXPECT_EQ(*sys::read_file(log),
              "prestart \"status\":\"creating\"\n"
              "createRuntime \"status\":\"creating\"\n"
              "createContainer \"status\":\"creating\"\n");
}

TEST_F(ContainerTest, AFailingOrEndlessHookStopsTheCreation) {
    auto config = spec({"true"});
    config.hooks.emplace().create_runtime = {{"/bin/sh", {"sh", "-c", "echo why; exit 3"}, {}, {}}};
    EXPECT_THAT(run(config).error, HasSubstr("createRuntime hook #0: /bin/sh: exit status 3, why"));
    config = spec({"true"});
    config.hooks.emplace().prestart = {{"/bin/sleep", {"sleep", "100"}, {}, 1}};
    EXPECT_THAT(run(config).error, HasSubstr("did not end within 1 s"));
}

TEST_F(ContainerTest, AFailureAtAnyStepLeavesNothing) {
    run(spec({"true"}));  // what is opened once stays
    const auto mounts = mounts_of_host();
    const auto descriptors = open_descriptors();
    const std::vector<std::function<void(oci::Spec&)>> faults{
        [](auto& s) { s.root->path = "nosuch"; },
        [](auto& s) { s.mounts.push_back({"/x", "nosuchfs", "", {}, {}, {}}); },
        [](auto& s) { s.mounts.push_back({"/x", "bind", "/nosuch", {}, {}, {}}); },
        [](auto& s) { s.mounts.push_back({"/x", "tmpfs", "", {"size=nonsense"}, {}, {}}); },
        [](auto& s) { s.linux_section.sysctl = {{"net.nosuch", "1"}}; },
        [](auto& s) { s.process->cwd = "/etc/passwd"; },
        [](auto& s) { s.process->args = {"nosuch"}; },
        [](auto& s) { s.linux_section.devices = {{"/etc/passwd/x", "c", 1, 3, {}, {}, {}}}; },
        [](auto& s) { s.linux_section.resources.emplace().hugepage_limits = {{"9EB", 1}}; },
    };
    for (std::size_t i = 0; i < faults.size(); ++i) {
        auto config = spec({"true"});
        faults[i](config);
        EXPECT_NE(run(config).error, "") << "fault " << i;
        EXPECT_TRUE(cgroups_of(ids_.back()).empty()) << "fault " << i;
        EXPECT_EQ(mounts_of_host(), mounts) << "fault " << i;
        EXPECT_EQ(open_descriptors(), descriptors) << "fault " << i;
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left after fault " << i;
    }
}

TEST_F(ContainerTest, AGroupThatIsInUseIsRefused) {
    auto config = spec({"sleep", "100"});
    const Fd file = std::move(*sys::memory_file("output"));
    auto first = create(request(config, file));
    ASSERT_TRUE(first.has_value()) << first.error().message();
    EXPECT_THAT(run(config).error, HasSubstr("is not empty: processes are in"));
    first->init = sys::OwnedChild();
    EXPECT_TRUE(first->cgroup.remove().has_value());
}

TEST_F(ContainerTest, ExecJoinsTheContainer) {
    const Fd file = std::move(*sys::memory_file("output"));
    auto created = create(request(spec({"sleep", "100"}), file));
    ASSERT_TRUE(created.has_value()) << created.error().message();
    ASSERT_TRUE(created->start().has_value());
    auto inside = *spec({}).process;
    ids_.pop_back();
    inside.args = {"sh", "-c", "hostname; ls /proc/self/fd; grep CapInh /proc/self/status; exit 5"};
    ExecRequest exec_request{.process = inside,
                             .container = created->init.process().duplicate(),
                             .cgroup = created->cgroup,
                             .stdio = {FdView(), file, file}};
    auto executed = exec(std::move(exec_request));
    ASSERT_TRUE(executed.has_value()) << executed.error().message();
    EXPECT_EQ(executed->child.wait()->code, 5);
    EXPECT_EQ(content(file), "box\n0\n1\n2\n3\nCapInh:\t0000000000000000\n");
    inside.args = {"nosuch"};
    ExecRequest missing{.process = inside, .container = created->init.process().duplicate()};
    EXPECT_EQ(exec(std::move(missing)).error().message(),
              "exec: \"nosuch\": executable file not found in $PATH");
    created->init = sys::OwnedChild();
    EXPECT_TRUE(created->cgroup.remove().has_value());
}

}  // namespace
}  // namespace corten::runtime::testing
