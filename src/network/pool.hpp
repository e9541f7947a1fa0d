#pragma once
// The pool of prepared sandboxes, and the reaper of used ones. Making a namespace with a veth costs
// 2 to 5 ms and removing one 30 ms, most of it waiting inside the kernel: both happen on threads of
// their own, off the way of a start.
#include "sandbox.hpp"

#include <base/serial.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace corten::network {

/// Thread "net-pool". Holds sandboxes with their addresses set, and hands out the lowest first.
/// Only descriptors: when the daemon dies the kernel removes what was prepared.
class Pool {
public:
    struct Item {
        Plug plug;  ///< address 0.0.0.0 for loopback only
        MadeSandbox sandbox;
    };
    using Maker = std::function<Result<Item>()>;

    explicit Pool(Maker maker) : maker_(std::move(maker)) {}
    ~Pool() { stop(); }

    /// Begins to fill up to `target`. Called again it only changes the target.
    void start(unsigned target);
    /// Ends the thread. What is still there stays until it is taken or the pool goes.
    void stop();
    /// Ends the thread and empties the pool.
    std::vector<Item> drain();

    /// Nothing when the pool is empty and the caller has to make one. Waits for the one that is
    /// just being made, if nobody else does.
    std::optional<Item> take();
    /// The one with this address, if it is here.
    std::optional<Item> take(Ipv4 ip);
    /// Until as many are there as wanted, or making one failed.
    void wait_full();

private:
    void run(const std::stop_token& stop);
    bool should_make(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);

    unsigned target_ = 0;
    Maker maker_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::multimap<Ipv4, Item> items_;
    std::chrono::steady_clock::time_point last_taken_{};
    unsigned waiting_ = 0;  ///< in take()
    bool making_ = false;
    bool failed_ = false;
    std::jthread thread_;
};

/// What is left of a sandbox when its container is gone, or other work that can wait.
struct Remains {
    std::string host_interface;            ///< deleted; one that is gone already is fine
    std::shared_ptr<Serial<Rtnl>> inside;  ///< closed
    std::function<void()> after;  ///< when the interface is gone: its address may be used again
};

/// Thread "net-reaper". Interfaces that wait together are deleted together, which costs the kernel
/// about the same as one.
class Reaper {
public:
    ~Reaper() { stop(); }
    void start();
    /// Ends the thread after what was added is done.
    void stop();
    void add(Remains remains);
    /// Until all that was added before is gone.
    void wait();

private:
    void run(const std::stop_token& stop);

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<Remains> waiting_;
    std::uint64_t added_ = 0, gone_ = 0;
    int hurried_ = 0;  ///< who waits until all is gone
    std::jthread thread_;
};

}  // namespace corten::network
