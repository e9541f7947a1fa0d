#include "console.hpp"

#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

namespace corten::runtime_cli {
namespace {

sigset_t forwarded_signals() {
    sigset_t set;
    ::sigfillset(&set);
    for (const int number : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT,
                             SIGTTOU, SIGTTIN, SIGURG})
        ::sigdelset(&set, number);
    return set;
}

/// Our terminal in raw mode for as long as this lives.
class RawTerminal {
public:
    RawTerminal() {
        if (::tcgetattr(STDIN_FILENO, &saved_) < 0) return;
        raw_ = true;
        termios raw = saved_;
        ::cfmakeraw(&raw);
        raw.c_oflag |= OPOST;  // the container's terminal adds no carriage returns, so ours does
        ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    ~RawTerminal() {
        if (raw_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    termios saved_{};
    bool raw_ = false;
};

void copy_window_size(FdView master) {
    winsize size{};
    if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ::ioctl(master.raw(), TIOCSWINSZ, &size);
}

class Attendance {
public:
    Attendance(sys::OwnedChild child, FdView master, const NotifySocket* notify)
        : child_(std::move(child)), master_(master), notify_(notify) {}
    Result<int> run();

private:
    Result<void> forward_signal(FdView signals);
    /// False at the end of the source.
    bool copy(FdView from, FdView to);
    void drain();

    sys::OwnedChild child_;
    FdView master_;
    const NotifySocket* notify_;  ///< until the process is ready
    bool input_open_ = true;
};

Result<void> Attendance::forward_signal(FdView signals) {
    signalfd_siginfo info{};
    if (::read(signals.raw(), &info, sizeof info) != sizeof info) return {};
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) return {};  // the pidfd tells
    if (number == SIGWINCH && master_.valid()) {
        copy_window_size(master_);
        return {};
    }
    child_.process().signal(number).ignore();  // it may just have exited
    return {};
}

bool Attendance::copy(FdView from, FdView to) {
    std::array<char, 8192> buffer;
    const ssize_t n = ::read(from.raw(), buffer.data(), buffer.size());
    if (n <= 0) return n < 0 && (errno == EINTR || errno == EAGAIN);
    return sys::write_all(to, {buffer.data(), static_cast<std::size_t>(n)}).has_value();
}

/// What the terminal still holds when the process is gone.
void Attendance::drain() {
    if (!master_.valid()) return;
    pollfd entry{master_.raw(), POLLIN, 0};
    while (::poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0)
        if (!copy(master_, FdView(STDOUT_FILENO))) return;
}

Result<int> Attendance::run() {
    const sigset_t set = forwarded_signals();
    const Fd signals(::signalfd(-1, &set, SFD_CLOEXEC));
    if (!signals) return fail_errno("signalfd");
    std::optional<RawTerminal> raw;
    if (master_.valid()) {
        copy_window_size(master_);
        raw.emplace();
    }
    for (;;) {
        std::array<pollfd, 5> entries{
            {{child_.process().fd().raw(), POLLIN, 0},
             {signals.raw(), POLLIN, 0},
             {master_.raw(), POLLIN, 0},
             {master_.valid() && input_open_ ? STDIN_FILENO : -1, POLLIN, 0},
             {notify_ != nullptr ? notify_->fd().raw() : -1, POLLIN, 0}}};
        if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR)
            return fail_errno("poll");
        if ((entries[1].revents & POLLIN) != 0) TRY(forward_signal(signals));
        if ((entries[2].revents & POLLIN) != 0) copy(master_, FdView(STDOUT_FILENO));
        if (entries[3].revents != 0) input_open_ = copy(FdView(STDIN_FILENO), master_);
        if (notify_ != nullptr && entries[4].revents != 0 && notify_->take(::getpid()))
            notify_ = nullptr;
        if ((entries[0].revents & POLLIN) != 0) break;
        // All slaves closed while the process lives on: nothing more to copy.
        if ((entries[2].revents & (POLLHUP | POLLIN)) == POLLHUP) master_ = FdView();
    }
    drain();
    return TRY(child_.wait()).code;
}

}  // namespace

namespace {

/// A message with a name and one descriptor.
Result<void> send_descriptor(const std::string& socket_path, std::string_view name, FdView fd) {
    const Fd socket = TRY(sys::connect_unix(socket_path, sys::SocketType::stream));
    return sys::send_message(socket, name, {fd}).context(fmt::format("send to {}", socket_path));
}

}  // namespace

Result<void> send_console(const std::string& socket_path, FdView master) {
    return send_descriptor(socket_path, "/dev/ptmx", master).context("--console-socket");
}

Result<void> send_pidfd(const std::string& socket_path, std::string_view kind, FdView pidfd) {
    return send_descriptor(socket_path, kind, pidfd).context("--pidfd-socket");
}

void hold_signals() {
    const sigset_t set = forwarded_signals();
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

Result<int> attend(sys::OwnedChild child, FdView master,
                   const std::optional<NotifySocket>& notify) {
    return Attendance(std::move(child), master, notify ? &*notify : nullptr).run();
}

}  // namespace corten::runtime_cli
