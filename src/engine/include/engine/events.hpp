#pragma once
// Every change of state is an event: kept for replay (the last 256) and given to who subscribed.
#include <apitypes/event.hpp>
#include <base/clock.hpp>
#include <base/sync.hpp>
#include <sys/poll.hpp>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace corten::engine {

/// Filters as the API has them: key to values, of which one must match, or every one of a label's.
using Filters = std::map<std::string, std::vector<std::string>>;

class EventHub;

/// One reader of the event stream. Not for several threads at once.
class EventSubscription {
public:
    ~EventSubscription();
    EventSubscription(const EventSubscription&) = delete;
    EventSubscription& operator=(const EventSubscription&) = delete;

    /// The next matching event; nullopt when `until` passed or `cancel` became readable.
    Result<std::optional<apitypes::Event>> next(FdView cancel);

private:
    friend class EventHub;
    struct Queue;
    EventSubscription(EventHub& hub, std::shared_ptr<Queue> queue, std::optional<WallTime> until);

    EventHub& hub_;
    std::shared_ptr<Queue> queue_;
    std::optional<WallTime> until_;
};

class EventHub {
public:
    /// Stamps the event with the time and gives it to all subscribers. Never blocks: a subscriber
    /// that fell more than 4096 events behind loses the oldest.
    void publish(apitypes::Event event);

    struct Range {
        std::optional<WallTime> since;  ///< kept events from here on come first
        std::optional<WallTime> until;  ///< and the stream ends here
    };
    /// Error invalid for an unknown filter key.
    Result<std::unique_ptr<EventSubscription>> subscribe(Range range, const Filters& filters);
    std::size_t subscribers() const;

private:
    friend class EventSubscription;
    struct Shared {
        std::deque<apitypes::Event> kept;
        std::set<std::shared_ptr<EventSubscription::Queue>> queues;
    };
    void forget(const std::shared_ptr<EventSubscription::Queue>& queue);
    Sync<Shared> shared_;
};

/// Shorthand for the engine's own publishers.
apitypes::Event make_event(std::string type, std::string action, std::string id,
                           std::map<std::string, std::string> attributes = {});

}  // namespace corten::engine
