#include <proto/shim_pump.hpp>
#include <sys/epoll.h>
#include <sys/poll.hpp>
#include <sys/socket.hpp>

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace corten::proto {

namespace {

struct Entry {
    std::shared_ptr<ShimClient> client;
    ShimHandlers handlers;
};

/// nullopt stands for the end of the connection.
struct Delivery {
    std::shared_ptr<Entry> entry;
    std::optional<Event> event;
};

/// Tokens count up, so that a late event of a removed client never names another one.
constexpr std::uint64_t stop_token = 0;

}  // namespace

struct ShimPump::State {
    Fd epoll;
    sys::Event stop;
    std::mutex mutex;  // guards the four below; a condition variable needs it bare
    std::condition_variable delivered;
    std::map<std::uint64_t, std::shared_ptr<Entry>> entries;
    std::deque<Delivery> queue;
    std::uint64_t next_token = 1;
    bool stopping = false;
    std::thread reader;
    std::thread dispatcher;

    State(Fd epoll_fd, sys::Event stop_event)
        : epoll(std::move(epoll_fd)), stop(std::move(stop_event)) {}

    std::shared_ptr<Entry> find(std::uint64_t token) {
        std::lock_guard lock(mutex);
        const auto found = entries.find(token);
        return found == entries.end() ? nullptr : found->second;
    }

    void push(Delivery delivery) {
        std::lock_guard lock(mutex);
        queue.push_back(std::move(delivery));
        delivered.notify_one();
    }

    void forget(std::uint64_t token, FdView fd) {
        ::epoll_ctl(epoll.raw(), EPOLL_CTL_DEL, fd.raw(), nullptr);
        std::lock_guard lock(mutex);
        entries.erase(token);
    }

    void read_one(std::uint64_t token) {
        const auto entry = find(token);
        if (!entry) return;
        if (auto event = entry->client->receive_one()) push({entry, std::move(event)});
        if (!entry->client->is_closed()) return;
        forget(token, entry->client->fd());
        push({entry, std::nullopt});
    }

    void run_reader() {
        for (;;) {
            epoll_event ready{};
            if (::epoll_wait(epoll.raw(), &ready, 1, -1) < 1) continue;
            if (ready.data.u64 == stop_token) return;
            read_one(ready.data.u64);
        }
    }

    std::optional<Delivery> next_delivery() {
        std::unique_lock lock(mutex);
        delivered.wait(lock, [&] { return stopping || !queue.empty(); });
        if (stopping) return {};
        Delivery next = std::move(queue.front());
        queue.pop_front();
        return next;
    }

    void run_dispatcher() {
        while (auto next = next_delivery()) {
            const auto& handlers = next->entry->handlers;
            if (next->event && handlers.on_event) handlers.on_event(*next->event);
            if (!next->event && handlers.on_closed) handlers.on_closed();
        }
    }
};

ShimPump::ShimPump(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ShimPump>> ShimPump::start() {
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return fail_errno("epoll_create1");
    auto state = std::make_unique<State>(std::move(epoll), TRY(sys::Event::create()));
    epoll_event entry{.events = EPOLLIN, .data = {.u64 = stop_token}};
    if (::epoll_ctl(state->epoll.raw(), EPOLL_CTL_ADD, state->stop.fd().raw(), &entry) < 0)
        return fail_errno("watch the stop event");
    State* raw = state.get();
    state->reader = std::thread([raw] { raw->run_reader(); });
    state->dispatcher = std::thread([raw] { raw->run_dispatcher(); });
    ::pthread_setname_np(state->reader.native_handle(), "shim-pump");
    ::pthread_setname_np(state->dispatcher.native_handle(), "shim-events");
    return std::unique_ptr<ShimPump>(new ShimPump(std::move(state)));
}

ShimPump::~ShimPump() {
    state_->stop.set();
    {
        std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        state_->delivered.notify_all();
    }
    state_->reader.join();
    state_->dispatcher.join();
    for (auto& [token, entry] : state_->entries) entry->client->close();
}

Result<std::shared_ptr<ShimClient>> ShimPump::add(Fd socket, ShimHandlers handlers) {
    auto client = std::make_shared<ShimClient>(std::move(socket));
    std::lock_guard lock(state_->mutex);
    const std::uint64_t token = state_->next_token++;
    state_->entries[token] = std::make_shared<Entry>(Entry{client, std::move(handlers)});
    epoll_event entry{.events = EPOLLIN, .data = {.u64 = token}};
    if (::epoll_ctl(state_->epoll.raw(), EPOLL_CTL_ADD, client->fd().raw(), &entry) < 0) {
        const int number = errno;
        state_->entries.erase(token);
        return Error::from_errno(number, "watch a supervisor's socket");
    }
    return client;
}

Result<std::shared_ptr<ShimClient>> ShimPump::connect(const std::string& path,
                                                      ShimHandlers handlers) {
    Fd socket = TRY(sys::connect_unix(path, sys::SocketType::seqpacket));
    return add(std::move(socket), std::move(handlers));
}

void ShimPump::remove(ShimClient& client) {
    {
        std::lock_guard lock(state_->mutex);
        ::epoll_ctl(state_->epoll.raw(), EPOLL_CTL_DEL, client.fd().raw(), nullptr);
        std::erase_if(state_->entries,
                      [&](const auto& item) { return item.second->client.get() == &client; });
        std::erase_if(state_->queue,
                      [&](const auto& item) { return item.entry->client.get() == &client; });
    }
    // Nobody reads its replies any more: whoever waits for one would until the time is up.
    client.close();
}

}  // namespace corten::proto
