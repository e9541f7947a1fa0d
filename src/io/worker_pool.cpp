#include <io/worker_pool.hpp>

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace corten::io {

namespace {
constexpr auto idle_time = std::chrono::seconds(10);
}

WorkerPool::WorkerPool(std::string name, std::size_t most_threads)
    : name_(std::move(name)), most_threads_(most_threads) {}

WorkerPool::~WorkerPool() {
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void WorkerPool::post(std::function<void()> work) {
    std::lock_guard lock(mutex_);
    reap_ended();
    queue_.push_back(std::move(work));
    if (idle_ >= queue_.size() || threads_.size() >= most_threads_) {
        wake_.notify_one();
        return;
    }
    threads_.emplace_back([this] { run(); });
}

/// Joins the threads that went idle and returned. Called with the lock held; they no longer take
/// it.
void WorkerPool::reap_ended() {
    for (const auto id : std::exchange(ended_, {})) {
        const auto thread = std::ranges::find(threads_, id, &std::thread::get_id);
        thread->join();
        threads_.erase(thread);
    }
}

void WorkerPool::run() {
    ::pthread_setname_np(::pthread_self(), name_.substr(0, 15).c_str());
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        const bool woken =
            wake_.wait_for(lock, idle_time, [this] { return !queue_.empty() || closing_; });
        --idle_;
        if (queue_.empty()) {
            if (!woken && !closing_) ended_.push_back(std::this_thread::get_id());
            return;
        }
        auto work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        work();
        work = nullptr;  // what it captured is released outside the lock
        lock.lock();
    }
}

}  // namespace corten::io
