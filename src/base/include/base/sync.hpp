#pragma once
// Sync<T>: shared state that can only be reached with its lock held.
//   sync.with([](State& s) { ... });   never wait, block or call out inside.
#include <mutex>
#include <utility>

namespace corten {

template <typename T>
class Sync {
public:
    Sync() = default;
    explicit Sync(T value) : value_(std::move(value)) {}

    template <typename F>
    decltype(auto) with(F&& f) {
        std::lock_guard lock(mutex_);
        return std::forward<F>(f)(value_);
    }
    template <typename F>
    decltype(auto) with(F&& f) const {
        std::lock_guard lock(mutex_);
        return std::forward<F>(f)(value_);
    }

private:
    mutable std::mutex mutex_;
    T value_{};
};

}  // namespace corten
