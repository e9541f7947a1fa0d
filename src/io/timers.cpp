#include <io/timers.hpp>

#include <pthread.h>

#include <utility>

namespace corten::io {

Timers::Timers() : thread_([this] { run(); }) {}

Timers::~Timers() {
    close();
}

void Timers::close() {
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

Timers::Id Timers::after(std::chrono::nanoseconds delay, std::function<void()> call) {
    std::lock_guard lock(mutex_);
    const Id id = next_id_++;
    if (closing_) return id;
    const auto due = Clock::now() + delay;
    entries_.emplace(due, Entry{id, std::move(call)});
    if (entries_.begin()->second.id == id) wake_.notify_one();
    return id;
}

bool Timers::cancel(Id id) {
    std::lock_guard lock(mutex_);
    return std::erase_if(entries_, [id](const auto& entry) { return entry.second.id == id; }) > 0;
}

void Timers::run() {
    ::pthread_setname_np(::pthread_self(), "timers");
    std::unique_lock lock(mutex_);
    while (!closing_) {
        if (entries_.empty()) {
            wake_.wait(lock);
            continue;
        }
        const auto first = entries_.begin();
        if (first->first > Clock::now()) {
            wake_.wait_until(lock, first->first);
            continue;
        }
        const auto call = std::move(first->second.call);
        entries_.erase(first);
        lock.unlock();
        call();
        lock.lock();
    }
}

}  // namespace corten::io
