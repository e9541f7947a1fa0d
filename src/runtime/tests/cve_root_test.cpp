// Each test is named after the weakness of a runtime that it would show.
#include "kernel_settings.hpp"
#include "security_labels.hpp"
#include "support.hpp"

#include <runtime/restore_root.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sched.h>

#include <array>
#include <functional>

namespace corten::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The sets of the calling process, as two halves of each.
class OwnCapabilities {
public:
    OwnCapabilities() { ::syscall(SYS_capget, &header_, sets_.data()); }
    void set() { EXPECT_EQ(::syscall(SYS_capset, &header_, sets_.data()), 0); }
    __user_cap_data_struct& low() { return sets_[0]; }

private:
    __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> sets_{};
};

/// What `work` returns, in a process of its own that may spoil its rights and mounts.
int in_child(const std::function<int()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(work());
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Whether the file now covers the one in /proc, in a mount namespace of our own.
bool cover(const std::string& file, const char* in_proc) {
    return ::unshare(CLONE_NEWNS) == 0 && sys::set_propagation("/", MS_REC | MS_PRIVATE) &&
           ::mount(file.c_str(), in_proc, nullptr, MS_BIND, nullptr) == 0;
}

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
    auto config = spec({"sleep", "100"});
    const Fd file = std::move(*sys::memory_file("output"));
    auto created = create(request(config, file));
    ASSERT_TRUE(created.has_value()) << created.error().message();
    ASSERT_TRUE(created->start().has_value());
    OwnCapabilities own;
    const auto before = std::exchange(own.low().inheritable, own.low().permitted);
    own.set();  // as a careless caller might have them
    config.process->args = {"grep", "CapInh", "/proc/self/status"};
    auto executed = exec({.process = *config.process,
                          .container = created->init.process().duplicate(),
                          .cgroup = created->cgroup,
                          .stdio = {FdView(), file, file}});
    own.low().inheritable = before;
    own.set();
    ASSERT_TRUE(executed.has_value()) << executed.error().message();
    executed->child.wait().ignore();
    EXPECT_EQ(content(file), "CapInh:\t0000000000000000\n");
    created->init = sys::OwnedChild();
    EXPECT_TRUE(created->cgroup.remove().has_value());
}

TEST_F(Cve, Cve_2023_25809_CgroupViewIsReadOnly) {
    // As `spec --rootless` writes it: root of a user namespace that may own the groups, without a
    // network namespace, sees the host's sysfs, of which only the top is read-only.
    auto config = spec({});
    auto& section = config.linux_section;
    std::erase_if(section.namespaces, [](const auto& entry) { return entry.type == "network"; });
    section.namespaces.push_back({"user", ""});
    section.uid_mappings = section.gid_mappings = {{0, 0, 65536}};
    for (auto& mount : config.mounts)
        if (mount.destination == "/sys")
            mount = {"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}, {}, {}};
    const auto outcome =
        run(shell(config,
                  "cd /sys/fs/cgroup; for f in cgroup.procs */cgroup.procs; do test -e $f || "
                  "continue; touch $f && echo writable; echo seen; done"));
    EXPECT_THAT(outcome.output, HasSubstr("Read-only file system\nseen"));
    EXPECT_THAT(outcome.output, Not(HasSubstr("writable")));
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
    std::filesystem::create_directory_symlink(canary_, root() + "/escape");
    config.process->cwd = "/dangling/deep";
    for (const char* place : {"/dangling/file", "/escape/deep/file"})
        config.mounts.push_back({place, "bind", "/etc/hostname", {}, {}, {}});
    EXPECT_EQ(run(config).error, "");
    EXPECT_TRUE(canary_untouched());
}

TEST_F(Cve, Cve_2025_31133_MaskingDoesNotUseTheContainersNull) {
    // /dev is a folder that the container has filled: its "null" is a way to any file of procfs.
    std::filesystem::create_directory(bundle() + "/devices");
    std::filesystem::create_symlink("/proc/sys/kernel/hostname", bundle() + "/devices/null");
    auto config = spec({"cat", "/proc/version"});
    std::erase_if(config.mounts, [](const auto& m) { return m.destination.starts_with("/dev"); });
    config.mounts.push_back({"/dev", "bind", "devices", {"bind"}, {}, {}});
    config.linux_section.masked_paths = {"/proc/version"};
    const Fd file = std::move(*sys::memory_file("output"));
    auto launch = request(config, file);
    launch.stdio.in = file;  // without one the container's own null would be opened
    const auto outcome = run(std::move(launch), file);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.output, "");
}

TEST_F(Cve, Cve_2025_31133_MaskedFileCannotBeChanged) {
    // To the mode that the host's null device has, so that no harm is done where it can be.
    auto config = spec({"busybox", "chmod", "666", "/proc/keys"});
    const auto outcome = run(config);
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.output, HasSubstr("Read-only file system"));
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

TEST_F(Cve, Cve_2025_52881_PrivateProcfsHasNothingMountedOverIt) {
    const auto fake = bundle() + "/fake";
    write(fake, "");
    const int end = in_child([&] {
        if (!cover(fake, "/proc/self/comm")) return 1;
        const auto proc = private_proc();
        if (!proc || !write_proc(*proc, "self/comm", "renamed")) return 2;
        char name[16]{};
        ::prctl(PR_GET_NAME, name);
        return std::string_view(name) == "renamed" ? 0 : 3;
    });
    EXPECT_EQ(end, 0);
    EXPECT_EQ(*sys::read_file(fake), "");
}

TEST_F(Cve, Cve_2025_52881_And_62596_LabelIsNotWrittenToWhatCoversItsFile) {
    if (!sys::exists("/proc/self/attr/exec"))
        GTEST_SKIP() << "no security modules (CONFIG_SECURITY)";
    const auto fake = bundle() + "/fake";
    write(fake, "");
    const int end = in_child([&] {
        if (!cover(fake, "/proc/self/attr/exec")) return 1;
        const auto proc = sys::open("/proc", O_PATH | O_DIRECTORY);
        const auto labelled = label_next_program(*proc, {.apparmor = "", .selinux = "u:r:t:s0"});
        return !labelled && labelled.error().number() == EXDEV ? 0 : 2;
    });
    EXPECT_EQ(end, 0);
    EXPECT_EQ(*sys::read_file(fake), "");
}

TEST_F(Cve, Cve_2025_52881_FileOfProcfsIsNotReachedThroughADescriptor) {
    const auto fake = bundle() + "/fake";
    write(fake, "");
    const Fd open = std::move(*sys::open(fake, O_RDWR));
    const auto proc = sys::open("/proc", O_PATH | O_DIRECTORY);
    EXPECT_FALSE(write_proc(*proc, fmt::format("self/fd/{}", open.raw()), "1").has_value());
    EXPECT_FALSE(write_proc(*proc, "sys/../.." + fake, "1").has_value());
    EXPECT_EQ(*sys::read_file(fake), "");
}

TEST_F(Cve, Cve_2026_119101_And_115520_And_119614_RestoredMountsStayInTheRoot) {
    std::filesystem::create_directory_symlink(canary_, root() + "/absolute");
    std::filesystem::create_directory_symlink("../../../../../.." + canary_, root() + "/climb");
    std::filesystem::create_directory_symlink(canary_ + "/new", root() + "/dangling");
    oci::Spec config = spec({});
    config.mounts.clear();
    for (const std::string place : {"/absolute/a", "/climb/b", "/dangling/c", "/../d"}) {
        config.mounts.push_back({place, "bind", "/etc/hostname", {"bind"}, {}, {}});
        ASSERT_TRUE(make_mount_points(config, {root(), bundle()}).has_value()) << place;
        const auto inside = resolved_destination(root(), place);
        ASSERT_TRUE(inside.has_value()) << place;
        EXPECT_TRUE(std::filesystem::is_regular_file(root() + *inside)) << place;
        EXPECT_EQ(std::filesystem::canonical(root() + *inside), root() + *inside) << place;
    }
    EXPECT_TRUE(canary_untouched());
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
    // Of the same user and with the same capabilities, CAP_SYS_PTRACE not among them, a dumpable
    // process could be. Without new mounts, of which create() itself would need a look.
    auto config = spec({"true"});
    auto& section = config.linux_section;
    std::erase_if(section.namespaces, [](const auto& entry) {
        return entry.type == "mount" || entry.type == "network";
    });
    config.mounts.clear();
    section.masked_paths.clear();
    section.readonly_paths.clear();
    const Fd file = std::move(*sys::memory_file("output"));
    const int end = in_child([&] {
        OwnCapabilities own;
        own.low().effective = own.low().permitted &= ~(1U << CAP_SYS_PTRACE);
        own.set();
        auto launch = request(config, file);
        launch.stdio.in = file;  // there is no null device
        auto created = create(std::move(launch));
        if (!created) return 1;
        char target[256];
        const auto path = fmt::format("/proc/{}/cwd", created->init.process().pid());
        const bool seen = ::readlink(path.c_str(), target, sizeof target) >= 0;
        const bool refused = !seen && errno == EACCES;
        created->init = sys::OwnedChild();
        return created->cgroup.remove() && refused ? 0 : 2;
    });
    EXPECT_EQ(end, 0);
}

TEST_F(Cve, Cve_2016_9962_TheWaitingProcessHasNothingOfTheCallersOpen) {
    const Fd file = std::move(*sys::memory_file("output"));
    auto created = create(request(spec({"true"}), file));
    ASSERT_TRUE(created.has_value()) << created.error().message();
    const auto pid = created->init.process().pid();
    for (const auto& name : *sys::list_directory(fmt::format("/proc/{}/fd", pid))) {
        char target[256];
        const auto path = fmt::format("/proc/{}/fd/{}", pid, name);
        const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
        const std::string_view text(target, n > 0 ? static_cast<std::size_t>(n) : 0);
        EXPECT_TRUE(text.starts_with("socket:") || text.starts_with("/dev/null") ||
                    text.starts_with("/memfd:"))
            << name << " -> " << text;
    }
    created->init = sys::OwnedChild();
    EXPECT_TRUE(created->cgroup.remove().has_value());
}

}  // namespace
}  // namespace corten::runtime::testing
