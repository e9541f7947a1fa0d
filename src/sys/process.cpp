#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace corten::sys {

Result<PidRef> PidRef::open(pid_t pid) {
    Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd) return fail_errno("pidfd_open {}", pid);
    return PidRef(pid, std::move(fd));
}

Result<void> PidRef::signal(int number) const {
    if (::syscall(SYS_pidfd_send_signal, pidfd_.raw(), number, nullptr, 0) < 0)
        return fail_errno("signal {} to process {}", number, pid_);
    return {};
}

bool PidRef::has_exited() const {
    pollfd entry{pidfd_.raw(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

PidRef PidRef::duplicate() const {
    return PidRef(pid_, Fd(::fcntl(pidfd_.raw(), F_DUPFD_CLOEXEC, 0)));
}

ExitStatus exit_status_of(int wait_status) {
    if (WIFSIGNALED(wait_status)) return {128 + WTERMSIG(wait_status), true};
    return {WEXITSTATUS(wait_status), false};
}

OwnedChild::~OwnedChild() {
    if (!process_.valid()) return;
    process_.signal(SIGKILL).ignore();  // it may be gone already
    wait().ignore();
}

Result<ExitStatus> OwnedChild::wait() {
    // Without this, waitpid would take any child of ours.
    if (!process_.valid()) return fail(ErrorKind::internal, "there is no process to wait for");
    int status = 0;
    pid_t reaped = -1;
    do {
        reaped = ::waitpid(process_.pid(), &status, 0);
    } while (reaped < 0 && errno == EINTR);
    if (reaped < 0) return fail_errno("wait for process {}", process_.pid());
    process_ = PidRef();
    return exit_status_of(status);
}

namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
    std::vector<char*> out;
    out.reserve(strings.size() + 1);
    for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

int highest_target(const std::vector<InheritedFd>& fds) {
    int highest = STDERR_FILENO;
    for (const auto& fd : fds) highest = std::max(highest, fd.to);
    return highest;
}

/// posix_spawn's dup2 actions run in order, so a source that is some other action's target would be
/// overwritten before its turn: every source is first moved above all targets.
Result<std::vector<Fd>> move_above_targets(const std::vector<InheritedFd>& fds) {
    std::vector<Fd> moved;
    for (const auto& fd : fds) {
        Fd copy(::fcntl(fd.from.raw(), F_DUPFD_CLOEXEC, highest_target(fds) + 1));
        if (!copy) return fail_errno("duplicate descriptor {}", fd.from.raw());
        moved.push_back(std::move(copy));
    }
    return moved;
}

/// Closes all that was not named, also what this process inherited without close-on-exec.
void close_the_rest(posix_spawn_file_actions_t* actions, const std::vector<InheritedFd>& fds) {
    const int highest = highest_target(fds);
    for (int fd = STDERR_FILENO + 1; fd < highest; ++fd)
        if (std::ranges::find(fds, fd, &InheritedFd::to) == fds.end())
            ::posix_spawn_file_actions_addclose(actions, fd);
    ::posix_spawn_file_actions_addclosefrom_np(actions, highest + 1);
}

class SpawnActions {
public:
    SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
    posix_spawn_file_actions_t* get() { return &actions_; }

private:
    posix_spawn_file_actions_t actions_;
};

class SpawnAttributes {
public:
    explicit SpawnAttributes(bool new_session) {
        ::posix_spawnattr_init(&attributes_);
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        if (new_session) flags |= POSIX_SPAWN_SETSID;
        ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
    }
    ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
    SpawnAttributes(const SpawnAttributes&) = delete;
    SpawnAttributes& operator=(const SpawnAttributes&) = delete;
    posix_spawnattr_t* get() { return &attributes_; }

private:
    posix_spawnattr_t attributes_;
};

}  // namespace

Result<pid_t> pid_of(FdView pidfd) {
    // proc(5): "Pid:\t123", -1 for one that was reaped.
    const auto text = TRY(read_file(fmt::format("/proc/self/fdinfo/{}", pidfd.raw())));
    for (const auto& line : split(text, '\n')) {
        const auto [key, value] = split_once(line, ':');
        if (key != "Pid") continue;
        const auto number = TRY(parse_integer(trim(value), "pid"));
        if (number > 0) return static_cast<pid_t>(number);
    }
    return fail(ErrorKind::not_found, "the process of this descriptor is gone");
}

Result<OwnedChild> spawn(const SpawnRequest& request) {
    const std::vector<Fd> moved = TRY(move_above_targets(request.fds));
    SpawnActions actions;
    for (int standard = 0; standard <= STDERR_FILENO; ++standard)
        ::posix_spawn_file_actions_addopen(actions.get(), standard, "/dev/null", O_RDWR, 0);
    for (std::size_t i = 0; i < moved.size(); ++i)
        ::posix_spawn_file_actions_adddup2(actions.get(), moved[i].raw(), request.fds[i].to);
    close_the_rest(actions.get(), request.fds);

    std::vector<std::string> arguments{request.argv0.empty() ? request.program : request.argv0};
    arguments.insert(arguments.end(), request.arguments.begin(), request.arguments.end());
    SpawnAttributes attributes(request.new_session);
    pid_t pid = -1;
    const int number =
        ::posix_spawn(&pid, request.program.c_str(), actions.get(), attributes.get(),
                      pointers(arguments).data(), pointers(request.environment).data());
    if (number != 0) return Error::from_errno(number, "start " + request.program);
    // The child is ours and unreaped, so its number cannot have been taken over.
    auto child = PidRef::open(pid);
    if (child) return OwnedChild(std::move(*child));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return child.error();
}

void reset_signals() {
    // The kernel's own form of the structure, all zero: SIG_DFL, no flags, no mask.
    struct {
        unsigned long handler, flags, restorer, mask;
    } const defaults{};
    constexpr int last_signal = 64;
    for (int number = 1; number <= last_signal; ++number)
        ::syscall(SYS_rt_sigaction, number, &defaults, nullptr, sizeof defaults.mask);
    const unsigned long none = 0;
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

}  // namespace corten::sys
