#pragma once
// Processes by pidfd: a PidRef never names another process that took over the number.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace corten::sys {

/// Names a process without owning it: never kills or reaps on destruction.
class PidRef {
public:
    PidRef() = default;
    /// Fails with not_found when there is no such process.
    static Result<PidRef> open(pid_t pid);
    PidRef(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

    pid_t pid() const { return pid_; }
    FdView fd() const { return pidfd_; }
    bool valid() const { return pidfd_.valid(); }
    /// pidfd_send_signal(2); not_found once the process is gone.
    Result<void> signal(int number) const;
    /// True once the process has exited (it may still be a zombie).
    bool has_exited() const;
    PidRef duplicate() const;

private:
    pid_t pid_ = -1;
    Fd pidfd_;
};

/// The number that a pidfd's process has for us; not_found when it is gone or has none here.
Result<pid_t> pid_of(FdView pidfd);

/// How a process ended: its code, or 128 + signal.
struct ExitStatus {
    int code = 0;
    bool signalled = false;
};
ExitStatus exit_status_of(int wait_status);

/// Descriptors that a spawned program gets: `from` in this process becomes `to` there.
struct InheritedFd {
    FdView from;
    int to;
};

struct SpawnRequest {
    std::string program;                   ///< absolute path, not searched for
    std::vector<std::string> arguments;    ///< argv[1..]
    std::vector<std::string> environment;  ///< NAME=value; nothing else is passed on
    std::vector<InheritedFd> fds;          ///< 0, 1 and 2 are /dev/null unless named here
    std::string argv0;                     ///< defaults to program
    bool new_session = false;
};

/// A child process of ours, to be reaped: wait() it, or give up ownership with detach().
class OwnedChild {
public:
    OwnedChild() = default;
    explicit OwnedChild(PidRef process) : process_(std::move(process)) {}
    OwnedChild(OwnedChild&&) noexcept = default;
    /// What was owned before is killed and reaped.
    OwnedChild& operator=(OwnedChild&& other) noexcept {
        const OwnedChild old(std::move(*this));
        process_ = std::move(other.process_);
        return *this;
    }
    /// Kills with SIGKILL and reaps, when still owned.
    ~OwnedChild();

    const PidRef& process() const { return process_; }
    Result<ExitStatus> wait();
    PidRef detach() { return std::move(process_); }

private:
    PidRef process_;
};

/// vfork-like spawn without running anything of ours between fork and exec but descriptor moves:
/// safe in a threaded process, and its cost does not grow with the caller's memory.
Result<OwnedChild> spawn(const SpawnRequest& request);

/// Every signal as after a boot: default disposition, none blocked; also those two that the C
/// library keeps for itself. For a child between clone and exec.
void reset_signals();

}  // namespace corten::sys
