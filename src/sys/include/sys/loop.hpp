#pragma once
// One thread's flow of control: epoll and timers, for that thread alone. A handler may remove any
// watch or timer, its own included: what is called is kept alive until it returns.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace corten::sys {

class Loop {
public:
    using Clock = std::chrono::steady_clock;
    using Handler = std::function<void(std::uint32_t events)>;

    static Result<std::unique_ptr<Loop>> create();

    /// Ends with its owner. The descriptor is borrowed and has to outlive the watch.
    class Watch {
    public:
        Watch() = default;
        Watch(Watch&& other) noexcept { *this = std::move(other); }
        Watch& operator=(Watch&& other) noexcept;
        ~Watch() { reset(); }
        void reset();
        bool valid() const { return loop_ != nullptr; }
        /// EPOLLERR and EPOLLHUP are always reported, also with 0.
        void set(std::uint32_t events);
        /// Reports nothing at all until the next set().
        void pause();

    private:
        friend class Loop;
        Loop* loop_ = nullptr;
        std::uint64_t id_ = 0;
        FdView fd_;
        bool added_ = false;
        std::uint32_t events_ = 0;
    };

    /// Fires once, unless it ends with its owner before.
    class Timer {
    public:
        Timer() = default;
        Timer(Timer&& other) noexcept { *this = std::move(other); }
        Timer& operator=(Timer&& other) noexcept;
        ~Timer() { reset(); }
        void reset();
        bool pending() const;

    private:
        friend class Loop;
        Loop* loop_ = nullptr;
        std::uint64_t id_ = 0;
    };

    Result<Watch> watch(FdView fd, std::uint32_t events, Handler handler);
    Timer after(std::chrono::milliseconds delay, std::function<void()> handler);

    /// Until stop().
    Result<void> run();
    void stop() { stopped_ = true; }

private:
    struct Pending {
        Clock::time_point due;
        std::function<void()> handler;
    };

    explicit Loop(Fd epoll) : epoll_(std::move(epoll)) {}
    int milliseconds_to_next() const;
    void fire_due();

    Fd epoll_;
    std::uint64_t next_id_ = 1;
    std::map<std::uint64_t, std::shared_ptr<Handler>> handlers_;
    std::map<std::uint64_t, Pending> timers_;
    bool stopped_ = false;
};

}  // namespace corten::sys
