#pragma once
// A busybox root file system and a configuration like docker's default, to run real containers
// from.
#include <base/ids.hpp>
#include <runtime/container.hpp>
#include <runtime/exec.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace corten::runtime::testing {

inline bool is_root() {
    return ::geteuid() == 0;
}

struct Outcome {
    int code = -1;
    std::string output;  ///< of both streams
    std::string error;   ///< of the runtime, when it did not come to run
};

class ContainerTest : public ::testing::Test {
protected:
    void SetUp() override {
        if (!is_root()) GTEST_SKIP() << "needs root";
        if (!sys::exists("/bin/busybox")) GTEST_SKIP() << "needs busybox-static";
        directory_ = "/tmp/corten-rt-test-" + random_hex(4);
        make_root(directory_ + "/rootfs");
    }
    void TearDown() override {
        if (!directory_.empty()) std::filesystem::remove_all(directory_);
        for (const auto& id : ids_) EXPECT_TRUE(cgroups_of(id).empty()) << "cgroup left of " << id;
    }

    std::string root() const { return directory_ + "/rootfs"; }
    const std::string& bundle() const { return directory_; }

    static void make_root(const std::string& root) {
        for (const char* name : {"bin", "etc", "tmp", "root", "dev", "proc", "sys"})
            std::filesystem::create_directories(root + "/" + name);
        std::filesystem::copy_file("/bin/busybox", root + "/bin/busybox");
        for (const char* applet :
             {"sh",    "true",  "false", "sleep", "ls",       "cat",      "id",  "env",  "mount",
              "touch", "mkdir", "ln",    "stat",  "readlink", "hostname", "tty", "grep", "echo",
              "ps",    "kill",  "umask", "test",  "rm",       "mknod",    "dd"})
            std::filesystem::create_symlink("busybox", root + "/bin/" + applet);
        write(root + "/etc/passwd",
              "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
    }
    static void write(const std::string& path, std::string_view text) {
        const auto result = sys::write_file_atomic(path, text);
        ASSERT_TRUE(result.has_value()) << result.error().message();
    }

    oci::Spec spec(std::vector<std::string> args) {
        oci::Spec spec;
        auto& process = spec.process.emplace();
        process.args = std::move(args);
        process.cwd = "/";
        process.env = {"PATH=/bin"};
        const std::vector<std::string> caps{"CAP_CHOWN", "CAP_SETUID",       "CAP_SETGID",
                                            "CAP_KILL",  "CAP_DAC_OVERRIDE", "CAP_MKNOD"};
        process.capabilities = oci::LinuxCapabilities{caps, caps, {}, caps, {}};
        spec.root = oci::Root{"rootfs", false};
        spec.hostname = "box";
        spec.mounts = {
            {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
            {"/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755", "size=65536k"}, {}, {}},
            {"/dev/pts",
             "devpts",
             "devpts",
             {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"},
             {},
             {}},
            {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
            {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}, {}, {}}};
        for (const char* type : {"pid", "network", "ipc", "uts", "mount"})
            spec.linux_section.namespaces.push_back({type, ""});
        spec.linux_section.masked_paths = {"/proc/kcore", "/proc/keys", "/sys/firmware"};
        spec.linux_section.readonly_paths = {"/proc/sys"};
        const auto id = "test-" + random_hex(4);
        ids_.push_back(id);
        spec.linux_section.cgroups_path = "/corten-rt-test/" + id;
        return spec;
    }
    static oci::Spec& shell(oci::Spec& spec, std::string script) {
        spec.process->args = {"/bin/sh", "-c", std::move(script)};
        return spec;
    }

    LaunchRequest request(oci::Spec spec, FdView out) {
        LaunchRequest request;
        request.id = ids_.back();
        request.spec = std::move(spec);
        request.bundle = bundle();
        request.stdio = {FdView(), out, out};
        return request;
    }

    Outcome run(oci::Spec spec) {
        const Fd file = std::move(*sys::memory_file("output"));
        return run(request(std::move(spec), file), file);
    }
    Outcome run(LaunchRequest request, FdView output) {
        Outcome outcome;
        auto created = create(std::move(request));
        if (!created) {
            outcome.error = created.error().message();
            return outcome;
        }
        const auto started = created->start();
        if (!started) outcome.error = started.error().message();
        const auto status = created->init.wait();
        if (status && started) outcome.code = status->code;
        const auto removed = created->cgroup.remove();
        EXPECT_TRUE(removed.has_value()) << removed.error().message();
        outcome.output = content(output);
        return outcome;
    }
    static std::string content(FdView file) {
        std::string text(1 << 20, '\0');
        const ssize_t n = ::pread(file.raw(), text.data(), text.size(), 0);
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return text;
    }
    static std::vector<std::string> cgroups_of(const std::string& id) {
        const auto layout = cgroup::Layout::detect();
        if (!layout) return {};
        const auto group = cgroup::Group::open(*layout, "/corten-rt-test/" + id);
        return group ? group->directories() : std::vector<std::string>();
    }
    static std::size_t mounts_of_host() {
        const auto text = sys::read_file("/proc/self/mountinfo").value_or("");
        return static_cast<std::size_t>(std::ranges::count(text, '\n'));
    }
    static std::size_t open_descriptors() {
        return sys::list_directory("/proc/self/fd").value_or({}).size();
    }

    std::string directory_;
    std::vector<std::string> ids_;
};

}  // namespace corten::runtime::testing
