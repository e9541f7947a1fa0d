#include <base/signals.hpp>
#include <base/text.hpp>

#include <array>
#include <csignal>

namespace corten {

namespace {

struct Name {
    std::string_view name;
    int number;
};
constexpr std::array<Name, 35> names{{
    {"abrt", SIGABRT}, {"alrm", SIGALRM}, {"bus", SIGBUS},       {"chld", SIGCHLD},
    {"cld", SIGCHLD},  {"cont", SIGCONT}, {"fpe", SIGFPE},       {"hup", SIGHUP},
    {"ill", SIGILL},   {"int", SIGINT},   {"io", SIGIO},         {"iot", SIGIOT},
    {"kill", SIGKILL}, {"pipe", SIGPIPE}, {"poll", SIGPOLL},     {"prof", SIGPROF},
    {"pwr", SIGPWR},   {"quit", SIGQUIT}, {"segv", SIGSEGV},     {"stkflt", SIGSTKFLT},
    {"stop", SIGSTOP}, {"sys", SIGSYS},   {"term", SIGTERM},     {"trap", SIGTRAP},
    {"tstp", SIGTSTP}, {"ttin", SIGTTIN}, {"ttou", SIGTTOU},     {"urg", SIGURG},
    {"usr1", SIGUSR1}, {"usr2", SIGUSR2}, {"vtalrm", SIGVTALRM}, {"winch", SIGWINCH},
    {"xcpu", SIGXCPU}, {"xfsz", SIGXFSZ}, {"unused", SIGSYS},
}};
// The kernel's numbers: glibc keeps the first two real-time signals to itself.
constexpr int first_real_time = 34;
constexpr int last_real_time = 64;

/// "rtmin+3", "rtmax-1": 0 when it is none.
int real_time_signal(std::string_view name) {
    const bool from_min = name.starts_with("rtmin");
    if (!from_min && !name.starts_with("rtmax")) return 0;
    std::string_view rest = name.substr(5);
    if (rest.empty()) return from_min ? first_real_time : last_real_time;
    if (rest[0] != (from_min ? '+' : '-')) return 0;
    const auto offset = parse_integer(rest.substr(1), "signal");
    if (!offset || *offset < 0 || *offset > last_real_time - first_real_time) return 0;
    return static_cast<int>(from_min ? first_real_time + *offset : last_real_time - *offset);
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
    if (const auto number = parse_integer(text, "signal"); number) {
        if (*number >= 1 && *number <= last_real_time) return static_cast<int>(*number);
        return fail(ErrorKind::invalid, "invalid signal: {}", text);
    }
    std::string name = to_lower(text);
    if (name.starts_with("sig")) name.erase(0, 3);
    for (const auto& entry : names)
        if (entry.name == name) return entry.number;
    if (const int number = real_time_signal(name)) return number;
    return fail(ErrorKind::invalid, "invalid signal: {}", text);
}

}  // namespace corten
