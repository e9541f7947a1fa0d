#pragma once
// Who fetches which layer: a pull that needs one which another pull is at waits for it.
#include <sys/poll.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace corten::image {

/// Thread-safe; must outlive its claims. A layer waits only for those below it, so that pulls which
/// hold some and wait for others always come to an end.
class LayerClaims {
public:
    class Claim {
    public:
        Claim(Claim&& other) noexcept
            : claims_(std::exchange(other.claims_, nullptr)),
              key_(std::move(other.key_)),
              waited_(other.waited_) {}
        Claim& operator=(Claim&&) = delete;
        ~Claim() {
            if (claims_) claims_->release(key_);
        }
        /// Somebody else was at it until now.
        bool waited() const { return waited_; }

    private:
        friend class LayerClaims;
        Claim(LayerClaims& claims, std::string key, bool waited)
            : claims_(&claims), key_(std::move(key)), waited_(waited) {}
        LayerClaims* claims_;  // null once moved from
        std::string key_;
        bool waited_;
    };

    /// nullopt when `cancel` was set meanwhile.
    std::optional<Claim> take(const std::string& key, const sys::Event& cancel) {
        constexpr auto look_for_cancel = std::chrono::milliseconds(100);
        std::unique_lock lock(mutex_);
        bool waited = false;
        while (!held_.insert(key).second) {
            waited = true;
            if (cancel.is_set()) return std::nullopt;
            released_.wait_for(lock, look_for_cancel);
        }
        return Claim(*this, key, waited);
    }

private:
    void release(const std::string& key) {
        std::lock_guard lock(mutex_);
        held_.erase(key);
        released_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable released_;
    std::set<std::string> held_;
};

}  // namespace corten::image
