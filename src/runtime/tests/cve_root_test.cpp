// Each test is named after the weakness of a runtime that it would show.
#include "support.hpp"

#include <gmock/gmock.h>

namespace corten::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Cve : public ContainerTest {
protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (directory_.empty()) return;
        canary_ = directory_ + "/canary";
        std::filesystem::create_directories(canary_);
    }
    bool canary_untouched() const { return std::filesystem::is_empty(canary_); }
    std::string canary_;
};

TEST_F(Cve, Cve_2016_3697_NumericUserNameIsNotAUid) {
    write(root() + "/etc/passwd", "1000:x:0:0::/root:/bin/sh\n");
    auto config = spec({});
    config.process->user.uid = 1000;
    EXPECT_EQ(run(shell(config, "echo $HOME")).output, "/\n");
}

TEST_F(Cve, Cve_2016_8867_NoAmbientCapabilitiesForAnOrdinaryUser) {
    auto config = spec({});
    config.process->user.uid = 1000;
    EXPECT_THAT(run(shell(config, "grep -E 'CapEff|CapAmb' /proc/self/status")).output,
                HasSubstr("CapEff:\t0000000000000000\nCapAmb:\t0000000000000000"));
}

TEST_F(Cve, Cve_2019_16884_NothingButProcIsMountedOnProc) {
    auto config = spec({"true"});
    config.mounts.push_back({"/proc/self/attr", "tmpfs", "tmpfs", {}, {}, {}});
    EXPECT_THAT(run(config).error, HasSubstr("inside /proc"));
    config = spec({"true"});
    config.mounts[0].type = "tmpfs";
    EXPECT_THAT(run(config).error, HasSubstr("only proc can be mounted on /proc"));
}

TEST_F(Cve, Cve_2019_19921_And_2023_27561_ProcAndSysMayNotBeLinks) {
    for (const char* name : {"/proc", "/sys"}) {
        std::filesystem::remove_all(root() + name);
        std::filesystem::create_directory_symlink("/tmp", root() + name);
        EXPECT_THAT(run(spec({"true"})).error, HasSubstr("is a symbolic link")) << name;
        std::filesystem::remove(root() + name);
        std::filesystem::create_directories(root() + name);
    }
}

TEST_F(Cve, Cve_2021_30465_MountTargetsStayInTheRoot) {
    std::filesystem::create_directory_symlink(canary_, root() + "/escape");
    std::filesystem::create_directory_symlink("../../../../../.." + canary_, root() + "/climb");
    auto config = spec({"ls", canary_ + "/a"});
    config.mounts.push_back({"/escape/a", "tmpfs", "tmpfs", {}, {}, {}});
    config.mounts.push_back({"/climb/b", "tmpfs", "tmpfs", {}, {}, {}});
    EXPECT_EQ(run(config).code, 0);
    EXPECT_TRUE(canary_untouched());
}

TEST_F(Cve, Cve_2022_29162_ExecHasNoInheritableCapabilities) {
    EXPECT_THAT(run(spec({"grep", "CapInh", "/proc/self/status"})).output,
                HasSubstr("0000000000000000"));
}

TEST_F(Cve, Cve_2023_25809_CgroupViewIsReadOnly) {
    auto config = spec({});
    const auto outcome = run(shell(config, "mkdir /sys/fs/cgroup/*/x /sys/fs/cgroup/x"));
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.output, HasSubstr("Read-only"));
}

TEST_F(Cve, Cve_2024_21626_WorkingDirectoryIsNotADescriptorOfTheHost) {
    const Fd host = std::move(*sys::open("/", O_RDONLY | O_DIRECTORY));
    for (int fd = 0; fd < 24; ++fd) {
        auto config = spec({"ls", "work"});
        config.process->cwd = fmt::format("/proc/self/fd/{}", fd);
        const auto outcome = run(config);
        EXPECT_NE(outcome.code, 0) << fd;
        EXPECT_NE(outcome.error, "") << fd;
    }
}

TEST_F(Cve, Cve_2024_45310_NothingIsMadeOnTheHost) {
    std::filesystem::create_directory_symlink(canary_ + "/new", root() + "/dangling");
    auto config = spec({"true"});
    config.process->cwd = "/dangling/deep";
    config.mounts.push_back({"/dangling/file", "bind", "/etc/hostname", {}, {}, {}});
    EXPECT_EQ(run(config).error, "");
    EXPECT_TRUE(canary_untouched());
}

TEST_F(Cve, Cve_2025_31133_MaskingDoesNotUseTheContainersNull) {
    // No /dev mount: the image brings its own "null", a way to any file of procfs.
    auto config = spec({"cat", "/proc/keys"});
    std::erase_if(config.mounts, [](const auto& m) { return m.destination.starts_with("/dev"); });
    std::filesystem::create_symlink("/proc/sys/kernel/hostname", root() + "/dev/null");
    const auto outcome = run(config);
    EXPECT_THAT(outcome.output, Not(HasSubstr("box")));
}

TEST_F(Cve, Cve_2025_31133_MaskedFileCannotBeChanged) {
    auto config = spec({});
    const auto outcome =
        run(shell(config, "chmod 0 /proc/keys 2>&1 || busybox chmod 0 /proc/keys"));
    EXPECT_NE(outcome.code, 0);
    EXPECT_EQ(sys::stat("/dev/null")->st_mode & 0777, 0666U);
}

TEST_F(Cve, Cve_2025_52565_ConsoleIsTheTerminalThatWasOpened) {
    std::filesystem::create_symlink("/proc/sysrq-trigger", root() + "/dev/console");
    auto config = spec({"sh", "-c", "stat -c %t /dev/console"});
    config.process->terminal = true;
    auto created = create(request(config, FdView()));
    ASSERT_TRUE(created.has_value()) << created.error().message();
    ASSERT_TRUE(created->start().has_value());
    created->init.wait().ignore();
    char text[64];
    const ssize_t n = ::read(created->console_master.raw(), text, sizeof text);
    EXPECT_EQ(std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0), "88\r\n");  // 136: a pty
    EXPECT_TRUE(created->cgroup.remove().has_value());
}

TEST_F(Cve, Cve_2025_52881_SysctlsGoThroughAPrivateProcfs) {
    // What lies at the setting's path in the container's root is not the kernel's file.
    auto config = spec({"cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"});
    config.linux_section.sysctl = {{"net.ipv4.ip_unprivileged_port_start", "81"}};
    std::filesystem::create_directories(root() + "/proc/sys/net/ipv4");
    write(root() + "/proc/sys/net/ipv4/ip_unprivileged_port_start", "fake");
    std::erase_if(config.mounts, [](const auto& mount) { return mount.destination == "/proc"; });
    config.linux_section.masked_paths.clear();
    config.linux_section.readonly_paths.clear();
    EXPECT_EQ(run(config).output, "fake");
}

TEST_F(Cve, Cve_2026_41579_DevOfTheImageMayBeALink) {
    std::filesystem::remove_all(root() + "/dev");
    std::filesystem::create_directory_symlink(canary_, root() + "/dev");
    auto config = spec({"true"});
    std::erase_if(config.mounts, [](const auto& m) { return m.destination.starts_with("/dev"); });
    EXPECT_EQ(run(config).error, "");
    EXPECT_TRUE(canary_untouched());
}

TEST_F(Cve, Cve_2016_9962_TheProcessCannotBeLookedInto) {
    const Fd file = std::move(*sys::memory_file("output"));
    auto created = create(request(spec({"true"}), file));
    ASSERT_TRUE(created.has_value()) << created.error().message();
    // A process that is not dumpable has root's files in /proc, whatever user it runs as; and
    // nothing of the caller's is open in it while it waits.
    const auto pid = created->init.process().pid();
    for (const auto& name : *sys::list_directory(fmt::format("/proc/{}/fd", pid))) {
        char target[256];
        const auto path = fmt::format("/proc/{}/fd/{}", pid, name);
        const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
        const std::string_view text(target, n > 0 ? static_cast<std::size_t>(n) : 0);
        EXPECT_TRUE(text.starts_with("socket:") || text.starts_with("/dev/null") ||
                    text.starts_with("/memfd:") || text.starts_with("/tmp/corten"))
            << name << " -> " << text;
    }
    created->init = sys::OwnedChild();
    EXPECT_TRUE(created->cgroup.remove().has_value());
}

}  // namespace
}  // namespace corten::runtime::testing
