#include <sys/eventfd.h>
#include <sys/poll.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace corten::sys {

namespace {

using Clock = std::chrono::steady_clock;

/// A clock's nanoseconds hold no more than some centuries.
constexpr Milliseconds longest = std::chrono::hours(24 * 365 * 100);

/// As much of it as poll(2) takes at once.
int for_one_call(Clock::duration rest) {
    const auto milliseconds = std::chrono::ceil<Milliseconds>(rest).count();
    return static_cast<int>(std::clamp<Milliseconds::rep>(milliseconds, 0, INT_MAX));
}

/// poll(2) that starts over after a signal, or the most it can wait, with the time that is left.
Result<int> poll_again(std::span<pollfd> entries, std::optional<Milliseconds> timeout) {
    const auto deadline =
        Clock::now() + std::clamp(timeout.value_or(Milliseconds(0)), Milliseconds(0), longest);
    for (;;) {
        const int left = timeout ? for_one_call(deadline - Clock::now()) : -1;
        const int ready = ::poll(entries.data(), entries.size(), left);
        if (ready > 0 || (ready == 0 && left < INT_MAX)) return ready;
        if (ready < 0 && errno != EINTR) return fail_errno("poll");
    }
}

}  // namespace

Result<std::optional<std::size_t>> wait_readable(std::span<const FdView> fds,
                                                 std::optional<Milliseconds> timeout) {
    std::vector<pollfd> entries;
    for (const auto fd : fds) entries.push_back({fd.raw(), POLLIN, 0});
    const int ready = TRY(poll_again(entries, timeout));
    if (ready > 0)
        for (std::size_t i = 0; i < entries.size(); ++i)
            if (entries[i].revents != 0) return std::optional(i);
    return std::optional<std::size_t>();
}

Result<bool> wait_writable(FdView fd, std::optional<Milliseconds> timeout) {
    pollfd entry{fd.raw(), POLLOUT, 0};
    return TRY(poll_again({&entry, 1}, timeout)) > 0;
}

Result<Event> Event::create() {
    Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return fail_errno("eventfd");
    return Event(std::move(fd));
}

void Event::set() const {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the event is set already.
    [[maybe_unused]] const auto written = ::write(fd_.raw(), &one, sizeof one);
}

void Event::clear() const {
    std::uint64_t count = 0;
    // Fails only when it was not set.
    [[maybe_unused]] const auto got = ::read(fd_.raw(), &count, sizeof count);
}

bool Event::is_set() const {
    pollfd entry{fd_.raw(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

}  // namespace corten::sys
