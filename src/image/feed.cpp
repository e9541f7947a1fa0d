#include "feed.hpp"

namespace corten::image {

void ProgressFeed::publish(Progress event) {
    std::lock_guard lock(mutex_);
    if (event.current) {
        const auto [known, fresh] = newest_number_.try_emplace(event.status + event.id, 0);
        if (!fresh) events_[known->second].reset();
        known->second = events_.size();
    }
    events_.push_back(std::make_unique<Progress>(std::move(event)));
    changed_.notify_all();
}

void ProgressFeed::close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

ProgressFeed::Batch ProgressFeed::read(std::size_t position, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return closed_ || events_.size() > position; });
    Batch batch{.next = events_.size(), .closed = closed_};
    for (; position < events_.size(); ++position)
        if (events_[position]) batch.events.push_back(*events_[position]);
    return batch;
}

}  // namespace corten::image
