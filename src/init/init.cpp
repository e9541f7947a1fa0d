#include <init/init.hpp>
#include <sys/wait.h>

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace corten::init {

namespace {

/// These mean a fault of this program itself; holding them back would loop for ever.
constexpr int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

sigset_t waited_signals() {
    sigset_t set;
    ::sigfillset(&set);
    for (const int fault : faults) ::sigdelset(&set, fault);
    return set;
}

void say(const char* text) {
    // There is nobody to tell when standard error is closed.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, ::strlen(text));
}

/// In the child. Its own process group has the terminal, so that ctrl-c reaches the program and not
/// also this process.
[[noreturn]] void execute(char* const* arguments, const sigset_t& mask) {
    ::setpgid(0, 0);
    // SIGTTOU is blocked here: a background group may take the terminal.
    ::tcsetpgrp(STDIN_FILENO, ::getpid());  // fails without a terminal, and then it matters not
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    ::execvp(arguments[0], arguments);
    const int number = errno;
    say("corten-init: exec ");
    say(arguments[0]);
    say(": ");
    say(::strerrordesc_np(number));
    say("\n");
    ::_exit(number == ENOENT ? 127 : 126);
}

int exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Reaps all that have ended. True when the program is among them.
bool reap(pid_t program, int& code) {
    bool ended = false;
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != program) continue;
        ended = true;
        code = exit_code(status);
    }
    return ended;
}

}  // namespace

int run(char* const* arguments) {
    const sigset_t waited = waited_signals();
    sigset_t original;
    ::sigprocmask(SIG_SETMASK, &waited, &original);
    const pid_t program = ::fork();
    if (program < 0) {
        say("corten-init: cannot fork\n");
        return 126;
    }
    if (program == 0) execute(arguments, original);
    for (int code = 0;;) {
        const int number = ::sigwaitinfo(&waited, nullptr);
        if (number == SIGCHLD) {
            if (reap(program, code)) return code;
        } else if (number > 0 && number != SIGTTIN && number != SIGTTOU) {
            ::kill(program, number);  // it may just have ended
        }
    }
}

}  // namespace corten::init
