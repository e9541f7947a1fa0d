#include "inherited.hpp"

#include <base/text.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace corten::runtime_cli {
namespace {

constexpr int most_listen_fds = 1024;

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0 || errno != EBADF;
}

/// 0 when it is no number.
std::int64_t number_in(const char* variable) {
    const char* text = ::getenv(variable);
    return text == nullptr ? 0 : parse_integer(text, variable).value_or(0);
}

}  // namespace

Result<void> open_missing_streams() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (is_open(fd)) continue;
        // The lowest that is free, which is this one; and it shall outlive execve.
        if (::open("/dev/null", O_RDWR) != fd) return fail_errno("open /dev/null as stream {}", fd);
    }
    return {};
}

int listen_fds() {
    if (number_in("LISTEN_PID") != ::getpid()) return 0;
    const auto count = number_in("LISTEN_FDS");
    return count > 0 && count <= most_listen_fds ? static_cast<int>(count) : 0;
}

Result<void> check_inherited(int count) {
    for (int i = 0; i < count; ++i)
        if (!is_open(STDERR_FILENO + 1 + i))
            return fail(ErrorKind::invalid,
                        "unable to stat preserved-fd {} (of {}): it is not open "
                        "(--preserve-fds, LISTEN_FDS)",
                        STDERR_FILENO + 1 + i, count);
    return {};
}

}  // namespace corten::runtime_cli
