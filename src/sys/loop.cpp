#include <sys/epoll.h>
#include <sys/loop.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

namespace corten::sys {

Result<std::unique_ptr<Loop>> Loop::create() {
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return fail_errno("epoll_create1");
    return std::unique_ptr<Loop>(new Loop(std::move(epoll)));
}

Loop::Watch& Loop::Watch::operator=(Watch&& other) noexcept {
    if (this == &other) return *this;
    reset();
    loop_ = std::exchange(other.loop_, nullptr);
    id_ = other.id_;
    fd_ = other.fd_;
    added_ = other.added_;
    events_ = other.events_;
    return *this;
}

void Loop::Watch::reset() {
    if (!loop_) return;
    pause();
    loop_->handlers_.erase(id_);
    loop_ = nullptr;
}

// Neither call can fail for a descriptor that is open and was added once.
void Loop::Watch::set(std::uint32_t events) {
    if (!loop_ || (added_ && events_ == events)) return;
    epoll_event entry{.events = events, .data = {.u64 = id_}};
    ::epoll_ctl(loop_->epoll_.raw(), added_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd_.raw(), &entry);
    added_ = true;
    events_ = events;
}

void Loop::Watch::pause() {
    if (loop_ && added_) ::epoll_ctl(loop_->epoll_.raw(), EPOLL_CTL_DEL, fd_.raw(), nullptr);
    added_ = false;
}

Result<Loop::Watch> Loop::watch(FdView fd, std::uint32_t events, Handler handler) {
    Watch watch;
    watch.id_ = next_id_++;
    watch.fd_ = fd;
    epoll_event entry{.events = events, .data = {.u64 = watch.id_}};
    if (::epoll_ctl(epoll_.raw(), EPOLL_CTL_ADD, fd.raw(), &entry) < 0)
        return fail_errno("watch descriptor {}", fd.raw());
    watch.added_ = true;
    watch.events_ = events;
    watch.loop_ = this;
    handlers_[watch.id_] = std::make_shared<Handler>(std::move(handler));
    return watch;
}

Loop::Timer& Loop::Timer::operator=(Timer&& other) noexcept {
    if (this == &other) return *this;
    reset();
    loop_ = std::exchange(other.loop_, nullptr);
    id_ = other.id_;
    return *this;
}

void Loop::Timer::reset() {
    if (loop_) loop_->timers_.erase(id_);
    loop_ = nullptr;
}

bool Loop::Timer::pending() const {
    return loop_ && loop_->timers_.contains(id_);
}

Loop::Timer Loop::after(std::chrono::milliseconds delay, std::function<void()> handler) {
    Timer timer;
    timer.loop_ = this;
    timer.id_ = next_id_++;
    timers_[timer.id_] = {Clock::now() + delay, std::move(handler)};
    return timer;
}

int Loop::milliseconds_to_next() const {
    if (timers_.empty()) return -1;
    const auto due = std::ranges::min_element(timers_, {}, [](const auto& t) {
                         return t.second.due;
                     })->second.due;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

/// One at a time: a handler may end other timers.
void Loop::fire_due() {
    const auto now = Clock::now();
    for (;;) {
        const auto due =
            std::ranges::find_if(timers_, [&](const auto& t) { return t.second.due <= now; });
        if (due == timers_.end()) return;
        const auto handler = std::move(due->second.handler);
        timers_.erase(due);
        handler();
    }
}

Result<void> Loop::run() {
    stopped_ = false;
    std::array<epoll_event, 16> ready{};
    while (!stopped_) {
        const int count =
            ::epoll_wait(epoll_.raw(), ready.data(), ready.size(), milliseconds_to_next());
        if (count < 0 && errno != EINTR) return fail_errno("epoll_wait");
        for (int i = 0; i < count; ++i) {
            const auto& event = ready[static_cast<std::size_t>(i)];
            // Ids are never used again: an event of a watch that is gone finds nothing.
            const auto found = handlers_.find(event.data.u64);
            if (found == handlers_.end()) continue;
            const std::shared_ptr<Handler> handler = found->second;
            (*handler)(event.events);
        }
        fire_due();
    }
    return {};
}

}  // namespace corten::sys
