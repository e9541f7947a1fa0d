#include "pool.hpp"

#include <base/log.hpp>

#include <pthread.h>

namespace corten::network {

namespace {

using namespace std::chrono_literals;

// A start takes both cores for a few milliseconds; making the next sandbox waits until it is over,
// unless the pool runs low.
constexpr auto quiet = 15ms;
constexpr auto pause_after_failure = 1s;
// Who waits for a container's end shall hear of it before the kernel is busy with its interfaces.
constexpr auto pause_before_reaping = 5ms;

}  // namespace

void Pool::start(unsigned target) {
    std::lock_guard lock(mutex_);
    target_ = target;
    if (target_ > 0 && !thread_.joinable()) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
        (void)::pthread_setname_np(thread_.native_handle(), "net-pool");
    }
    changed_.notify_all();
}

void Pool::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

std::vector<Pool::Item> Pool::drain() {
    stop();
    std::lock_guard lock(mutex_);
    target_ = 0;
    std::vector<Item> out;
    for (auto& [ip, item] : items_) out.push_back(std::move(item));
    items_.clear();
    return out;
}

std::optional<Pool::Item> Pool::take() {
    std::unique_lock lock(mutex_);
    last_taken_ = std::chrono::steady_clock::now();
    changed_.notify_all();
    if (items_.empty() && making_ && waiting_ == 0) {
        ++waiting_;
        changed_.wait(lock, [&] { return !items_.empty() || !making_; });
        --waiting_;
    }
    if (items_.empty()) return std::nullopt;
    return std::move(items_.extract(items_.begin()).mapped());
}

std::optional<Pool::Item> Pool::take(Ipv4 ip) {
    std::lock_guard lock(mutex_);
    const auto found = items_.find(ip);
    if (found == items_.end()) return std::nullopt;
    changed_.notify_all();
    return std::move(items_.extract(found).mapped());
}

void Pool::wait_full() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return items_.size() >= target_ || failed_ || !thread_.joinable(); });
}

/// Waits for the moment to make one more; false when asked to stop.
bool Pool::should_make(std::unique_lock<std::mutex>& lock, const std::stop_token& stop) {
    changed_.wait(lock, stop, [&] { return items_.size() < target_; });
    while (!stop.stop_requested() && items_.size() * 2 >= target_) {
        const auto due = last_taken_ + quiet;
        if (std::chrono::steady_clock::now() >= due) break;
        changed_.wait_until(lock, stop, due, [] { return false; });
    }
    return !stop.stop_requested();
}

void Pool::run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (should_make(lock, stop)) {
        making_ = true;
        lock.unlock();
        auto made = maker_();
        lock.lock();
        making_ = false;
        if (made) {
            const Ipv4 ip = made->plug.ip;
            items_.emplace(ip, std::move(*made));
        } else if (!failed_) {
            // Nobody waits for this one: the start that finds the pool empty gets the error itself.
            log::warning("prepare network sandbox: {}, ignoring", made.error().message());
        }
        failed_ = !made;
        changed_.notify_all();
        if (failed_) changed_.wait_for(lock, stop, pause_after_failure, [] { return false; });
    }
}

void Reaper::start() {
    std::lock_guard lock(mutex_);
    if (thread_.joinable()) return;
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    (void)::pthread_setname_np(thread_.native_handle(), "net-reaper");
}

void Reaper::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

void Reaper::add(Remains remains) {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(remains));
    ++added_;
    changed_.notify_all();
}

void Reaper::wait() {
    std::unique_lock lock(mutex_);
    ++hurried_;
    changed_.notify_all();
    changed_.wait(lock, [&, before = added_] { return gone_ >= before; });
    --hurried_;
}

namespace {

Result<void> delete_interfaces(const std::vector<Remains>& all) {
    Rtnl host = TRY(Rtnl::open());
    std::vector<int> indices;
    for (const auto& remains : all) {
        if (remains.host_interface.empty()) continue;
        const auto index = host.index_of(remains.host_interface);
        if (index)
            indices.push_back(*index);
        else if (index.error().kind() != ErrorKind::not_found)
            return index.error();
    }
    return host.delete_links(indices);
}

}  // namespace

void Reaper::run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) {
        changed_.wait_for(lock, stop, pause_before_reaping, [&] { return hurried_ > 0; });
        std::vector<Remains> batch = std::exchange(waiting_, {});
        lock.unlock();
        // The kernel deletes them with their namespaces in any case, only later.
        if (auto done = delete_interfaces(batch); !done)
            log::warning("delete container interfaces: {}, ignoring", done.error().message());
        for (auto& remains : batch) {
            remains.inside.reset();
            if (remains.after) remains.after();
        }
        const auto count = std::exchange(batch, {}).size();
        lock.lock();
        gone_ += count;
        changed_.notify_all();
    }
}

}  // namespace corten::network
