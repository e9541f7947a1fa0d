#include <sys/clone.hpp>
#include <sys/syscall.h>

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace corten::sys {

Result<std::optional<PidRef>> clone_process(const CloneRequest& request) {
    int pidfd = -1;
    struct clone_args arguments{};
    arguments.flags = request.flags | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    // With CLONE_PARENT the signal is that of the caller's own exit; the kernel wants 0.
    arguments.exit_signal = request.flags & CLONE_PARENT ? 0 : SIGCHLD;
    if (request.cgroup.valid()) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(request.cgroup.raw());
    }
    const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) return fail_errno("clone3");
    if (pid == 0) return std::optional<PidRef>();
    return std::optional<PidRef>(PidRef(static_cast<pid_t>(pid), Fd(pidfd)));
}

Result<void> enter_namespaces(FdView fd, int types) {
    if (::setns(fd.raw(), types) < 0) return fail_errno("setns");
    return {};
}

Result<void> unshare_namespaces(int types) {
    if (::unshare(types) < 0) return fail_errno("unshare");
    return {};
}

}  // namespace corten::sys
