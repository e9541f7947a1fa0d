#include "filters.hpp"

#include <engine/events.hpp>

#include <algorithm>
#include <array>

namespace corten::engine {

namespace {
constexpr std::size_t most_kept = 256;
constexpr std::size_t most_queued = 4096;
constexpr std::array filter_keys = {"container", "daemon", "event",  "image",   "label",
                                    "network",   "plugin", "scope",  "type",    "volume",
                                    "builder",   "node",   "secret", "service", "config"};

/// "exec_create" matches "exec_create: sh -c true".
bool action_matches(const std::string& action, const std::string& wanted) {
    return action == wanted || action.starts_with(wanted + ":");
}

/// container=web matches the events of type container whose id or name that is.
bool actor_matches(const apitypes::Event& event, const std::string& type,
                   const std::string& wanted) {
    if (event.type != type) {
        const auto mentioned = event.actor.attributes.find(type);
        return mentioned != event.actor.attributes.end() && mentioned->second == wanted;
    }
    const auto name = event.actor.attributes.find("name");
    return event.actor.id == wanted ||
           (wanted.size() >= 12 && event.actor.id.starts_with(wanted)) ||
           (name != event.actor.attributes.end() && name->second == wanted);
}

bool matches(const apitypes::Event& event, const Filters& filters) {
    return std::ranges::all_of(filters, [&](const auto& filter) {
        const auto& [key, values] = filter;
        const auto one = [&](const std::string& value) {
            if (key == "type") return event.type == value;
            if (key == "event") return action_matches(event.action, value);
            if (key == "scope") return event.scope == value;
            if (key == "label") return label_matches(event.actor.attributes, value);
            return actor_matches(event, key, value);
        };
        // Every label must be there; of other keys one value is enough.
        return key == "label" ? std::ranges::all_of(values, one) : std::ranges::any_of(values, one);
    });
}

}  // namespace

struct EventSubscription::Queue {
    Filters filters;
    sys::Event wake;  // set at every event; reading is done under the lock, so it is only a hint
    std::deque<apitypes::Event> events;
    std::mutex mutex;
};

EventSubscription::EventSubscription(EventHub& hub, std::shared_ptr<Queue> queue,
                                     std::optional<WallTime> until)
    : hub_(hub), queue_(std::move(queue)), until_(until) {}

EventSubscription::~EventSubscription() {
    hub_.forget(queue_);
}

Result<std::optional<apitypes::Event>> EventSubscription::next(FdView cancel) {
    for (;;) {
        {
            std::lock_guard lock(queue_->mutex);
            if (!queue_->events.empty()) {
                apitypes::Event event = std::move(queue_->events.front());
                queue_->events.pop_front();
                if (until_ && WallTime(std::chrono::nanoseconds(event.time_nano)) > *until_)
                    return std::optional<apitypes::Event>();
                return std::optional(std::move(event));
            }
            queue_->wake.clear();
        }
        std::optional<sys::Milliseconds> timeout;
        if (until_) {
            const auto left = std::chrono::ceil<sys::Milliseconds>(*until_ - now());
            if (left.count() <= 0) return std::optional<apitypes::Event>();
            timeout = left;
        }
        const FdView fds[] = {cancel, queue_->wake.fd()};
        const auto ready = TRY(sys::wait_readable(fds, timeout));
        if (ready == 0) return std::optional<apitypes::Event>();
    }
}

void EventHub::publish(apitypes::Event event) {
    const auto time = now();
    event.time = unix_seconds(time);
    event.time_nano = unix_nanoseconds(time);
    shared_.with([&](Shared& shared) {
        for (const auto& queue : shared.queues) {
            if (!matches(event, queue->filters)) continue;
            std::lock_guard lock(queue->mutex);
            if (queue->events.size() >= most_queued) queue->events.pop_front();
            queue->events.push_back(event);
            queue->wake.set();
        }
        shared.kept.push_back(std::move(event));
        if (shared.kept.size() > most_kept) shared.kept.pop_front();
    });
}

Result<std::unique_ptr<EventSubscription>> EventHub::subscribe(Range range,
                                                               const Filters& filters) {
    for (const auto& [key, values] : filters)
        if (std::ranges::find(filter_keys, key) == filter_keys.end())
            return fail(ErrorKind::invalid, "invalid filter '{}'", key);
    auto wake = TRY(sys::Event::create());
    auto queue = std::shared_ptr<EventSubscription::Queue>(new EventSubscription::Queue{
        .filters = filters, .wake = std::move(wake), .events = {}, .mutex = {}});
    shared_.with([&](Shared& shared) {
        if (range.since || (range.until && *range.until <= now()))
            for (const auto& event : shared.kept)
                if ((!range.since ||
                     WallTime(std::chrono::nanoseconds(event.time_nano)) >= *range.since) &&
                    matches(event, filters))
                    queue->events.push_back(event);
        shared.queues.insert(queue);
    });
    return std::unique_ptr<EventSubscription>(
        new EventSubscription(*this, std::move(queue), range.until));
}

void EventHub::forget(const std::shared_ptr<EventSubscription::Queue>& queue) {
    shared_.with([&](Shared& shared) { shared.queues.erase(queue); });
}

std::size_t EventHub::subscribers() const {
    return shared_.with([](const Shared& shared) { return shared.queues.size(); });
}

apitypes::Event make_event(std::string type, std::string action, std::string id,
                           std::map<std::string, std::string> attributes) {
    apitypes::Event event;
    event.type = std::move(type);
    event.action = std::move(action);
    event.actor.id = std::move(id);
    event.actor.attributes = std::move(attributes);
    return event;
}

}  // namespace corten::engine
