#include <base/ids.hpp>
#include <sys/descriptors.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>
#include <sys/resolve.hpp>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>

namespace corten::sys {
namespace {

namespace fs = std::filesystem;

/// From here on this process's kernel does not know the call.
void forget_call(unsigned number) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{std::size(code), code};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) ::_exit(9);
}

/// What `work` gives in a child whose kernel does not know the call.
std::string without(unsigned number, const std::function<std::string()>& work) {
    auto ends = pipe();
    const pid_t child = ::fork();
    if (child == 0) {
        forget_call(number);
        (void)write_all(ends->second, work()).has_value();
        ::_exit(0);
    }
    ends->second.reset();
    auto text = read_all(ends->first).value_or("");
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return text;
}

class Resolved : public ::testing::Test {
protected:
    void SetUp() override {
        fs::create_directories(root_ + "/a/b");
        fs::create_directories(root_ + "/dir");
        std::ofstream(root_ + "/a/file") << "x";
        const auto link = [&](const char* target, const char* name) {
            fs::create_symlink(target, root_ + "/" + name);
        };
        link("a/file", "to-file");
        link("/a", "absolute");
        link("../../../../etc/passwd", "climbs");
        link("/etc/passwd", "outside");
        link("loop", "loop");
        link("nothing", "dangling");
        link("../b/../file", "a/b/up");
        link("dir/", "slash");
    }
    void TearDown() override { fs::remove_all(root_); }

    /// One line for each way to open each path: the error, or which object it is.
    std::string answers() const {
        const Fd root = *sys::open(root_, O_PATH | O_DIRECTORY);
        std::string text;
        for (const std::uint64_t resolve :
             {RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS})
            for (const int flags : {O_PATH, O_RDONLY, O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY})
                for (const auto& path : paths) text += answer(root, path, flags, resolve);
        return text;
    }

    static std::string answer(FdView root, const std::string& path, int flags,
                              std::uint64_t resolve) {
        const auto found = open_resolved(root, path, flags, 0, resolve);
        struct ::stat info{};
        if (found) ::fstat(found->raw(), &info);
        return fmt::format("{} {:o} {}: {} {}\n", path, flags, resolve,
                           found ? 0 : found.error().number(), info.st_ino);
    }

    const std::vector<std::string> paths{"/",
                                         "",
                                         ".",
                                         "..",
                                         "a",
                                         "/a/b",
                                         "a//b/.",
                                         "a/../..",
                                         "a/file",
                                         "a/file/",
                                         "a/file/x",
                                         "to-file",
                                         "to-file/",
                                         "absolute",
                                         "climbs",
                                         "absolute/b",
                                         "outside",
                                         "loop",
                                         "dangling",
                                         "a/b/up",
                                         "slash",
                                         "slash/",
                                         "slash/..",
                                         "none/x",
                                         "a/b/../../dir",
                                         "../../../dir",
                                         "absolute/../dir/."};
    std::string root_ = fs::temp_directory_path() / ("corten-resolve-" + random_hex(4));
};

TEST_F(Resolved, IsTheSameByHand) {
    const auto by_kernel = answers();
    ASSERT_THAT(by_kernel, ::testing::HasSubstr("to-file"));
    EXPECT_EQ(without(SYS_openat2, [this] { return answers(); }), by_kernel);
}

TEST_F(Resolved, CreatesInsideByHand) {
    const auto made = without(SYS_openat2, [this] {
        const Fd root = *sys::open(root_, O_PATH | O_DIRECTORY);
        const auto file = open_in_root(root, "dangling", O_CREAT | O_WRONLY, 0600);
        const auto again = open_in_root(root, "dangling", O_CREAT | O_EXCL | O_WRONLY, 0600);
        return fmt::format("{} {}", file.has_value(), again ? 0 : again.error().number());
    });
    EXPECT_EQ(made, fmt::format("true {}", EEXIST));
    EXPECT_TRUE(fs::exists(root_ + "/nothing"));
}

TEST_F(Resolved, NoMagicLinkIsFollowedByHand) {
    const auto numbers = without(SYS_openat2, [] {
        const Fd proc = *sys::open("/proc", O_PATH | O_DIRECTORY);
        std::string text;
        for (const char* path :
             {"self/fd/1", "self/root/etc", "self/exe", "self/ns/mnt", "mounts"}) {
            const auto found =
                open_resolved(proc, path, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
            text += fmt::format("{} ", found ? 0 : found.error().number());
        }
        return text;
    });
    EXPECT_EQ(numbers, fmt::format("{0} {0} {0} {0} 0 ", ELOOP));
}

TEST(CloseRange, IsTheSameOneByOne) {
    const auto left = without(SYS_close_range, [] {
        const Fd kept = *sys::open("/dev/null", O_RDONLY);
        const Fd other = *duplicate(kept);
        const int high = ::fcntl(kept.raw(), F_DUPFD, 700);
        const bool closed = close_range(static_cast<unsigned>(other.raw()), ~0U).has_value();
        const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
        // The pipe of this test may be above: nothing is written but by the caller.
        return fmt::format("{} {} {} {}", closed, is_open(kept.raw()), is_open(other.raw()),
                           is_open(high));
    });
    EXPECT_EQ(left, "true true false false");
}

}  // namespace
}  // namespace corten::sys
