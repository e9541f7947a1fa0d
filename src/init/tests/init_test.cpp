#include <init/init.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>
#include <sys/wait.h>

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace corten::init {
namespace {

/// Runs in a process of its own, as PID 1 would: it blocks signals and reaps everything.
class Init {
public:
    explicit Init(std::vector<const char*> arguments) {
        arguments.push_back(nullptr);
        auto pipe = std::move(sys::pipe()).value();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(pipe.second.raw(), STDOUT_FILENO);
            ::_exit(run(const_cast<char* const*>(arguments.data())));
        }
        output_ = std::move(pipe.first);
    }
    std::string read_line() {
        char buffer[256];
        return std::string(buffer, *sys::read_some(output_, buffer));
    }
    void signal(int number) const { ::kill(pid_, number); }
    int wait() const {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    pid_t pid_ = -1;
    Fd output_;
};

TEST(Init, EndsAsItsProgramDoes) {
    EXPECT_EQ(Init({"sh", "-c", "exit 7"}).wait(), 7);
    EXPECT_EQ(Init({"sh", "-c", "kill -9 $$"}).wait(), 137);
    EXPECT_EQ(Init({"/no/such/program"}).wait(), 127);
    EXPECT_EQ(Init({"/etc/passwd"}).wait(), 126);
}

TEST(Init, PassesSignalsOn) {
    Init init({"sh", "-c", "trap 'exit 42' USR1; echo ready; while :; do sleep 0.01; done"});
    EXPECT_EQ(init.read_line(), "ready\n");
    init.signal(SIGUSR1);
    EXPECT_EQ(init.wait(), 42);
}

TEST(Init, ProgramHasTheOriginalSignalMask) {
    Init init({"sh", "-c", "grep SigBlk /proc/self/status"});
    EXPECT_EQ(init.read_line(), "SigBlk:\t0000000000000000\n");
    EXPECT_EQ(init.wait(), 0);
}

}  // namespace
}  // namespace corten::init
