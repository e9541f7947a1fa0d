#pragma once
// Who is connected: lets stop() wake, cut and name them.
#include <http/server.hpp>
#include <sys/poll.hpp>

#include <condition_variable>
#include <map>
#include <mutex>

namespace corten::http {

struct Server::Shared {
    Shared(Handler h, ServerOptions o) : handler(std::move(h)), options(std::move(o)) {}

    struct Entry {
        int raw = -1;  ///< borrowed; -1 once the connection has no more say over its socket
        std::string doing;
        std::chrono::steady_clock::time_point since;
    };
    using Id = std::uint64_t;

    Id enter(FdView socket);
    /// Must come before the socket is closed, or the number could be another's already.
    void leave(Id id);
    void describe(Id id, std::string doing);
    /// The socket now belongs to somebody who outlives the server: stop() leaves it alone.
    void release(Id id);
    void shut_all(int how);
    bool wait_empty(std::chrono::milliseconds time);
    std::vector<std::string> describe_all() const;
    std::size_t size() const;
    void report(const Error& error) const {
        if (options.on_error) options.on_error(error);
    }

    const Handler handler;
    const ServerOptions options;
    mutable std::mutex mutex;
    std::condition_variable left;
    std::map<Id, Entry> entries;
    Id next = 1;
    bool stopping = false;
    std::optional<sys::Event> stop_event;
};

/// Runs `work` on a detached thread with the given stack and name.
Result<void> start_thread(const std::string& name, std::size_t stack_bytes,
                          std::function<void()> work);

}  // namespace corten::http
