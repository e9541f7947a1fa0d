#pragma once
// Memory for what streams look back on, shared by those that are read at the same time: who needs
// more than is free waits until others have ended.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

namespace corten::storage {

/// Thread-safe; must outlive its parts. Who waits must hold no part.
class WindowMemory {
public:
    class Part {
    public:
        Part(Part&& other) noexcept
            : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
        Part& operator=(Part&&) = delete;
        ~Part() {
            if (memory_) memory_->give_back(bytes_);
        }

    private:
        friend class WindowMemory;
        Part(WindowMemory& memory, std::size_t bytes) : memory_(&memory), bytes_(bytes) {}
        WindowMemory* memory_;  // null once moved from
        std::size_t bytes_;
    };

    explicit WindowMemory(std::size_t bytes) : all_(bytes), free_(bytes) {}

    /// In the order of asking, so that a large one comes to its turn. More than there is counts as
    /// all of it. nullopt once `given_up` says so, which is asked every 100 ms.
    std::optional<Part> take(std::size_t bytes, const std::function<bool()>& given_up) {
        constexpr auto pause = std::chrono::milliseconds(100);
        const std::size_t wanted = std::min(bytes, all_);
        std::unique_lock lock(mutex_);
        const std::uint64_t turn = turns_++;
        waiting_.insert(turn);
        bool over = false;
        while ((*waiting_.begin() != turn || wanted > free_) && !(over = given_up()))
            changed_.wait_for(lock, pause);
        waiting_.erase(turn);
        changed_.notify_all();
        if (over) return std::nullopt;
        free_ -= wanted;
        return Part(*this, wanted);
    }

private:
    void give_back(std::size_t bytes) {
        std::lock_guard lock(mutex_);
        free_ += bytes;
        changed_.notify_all();
    }

    const std::size_t all_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t free_;
    std::uint64_t turns_ = 0;
    std::set<std::uint64_t> waiting_;  ///< whose turn comes when
};

}  // namespace corten::storage
