#pragma once
// The daemon's end of a supervisor's control socket. Any thread may call; replies are matched by
// sequence number. Something has to read the socket meanwhile: ShimPump does.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <base/sync.hpp>
#include <proto/channel.hpp>
#include <proto/shim_messages.hpp>
#include <sys/poll.hpp>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::proto {

struct Event {
    std::string type;  ///< event_exited, event_exec_exited ...
    Json body;
};

class ShimClient {
public:
    /// A supervisor answers a start within this, or something is wrong with the machine.
    static constexpr sys::Milliseconds default_timeout{30'000};

    explicit ShimClient(Fd socket) : socket_(std::move(socket)) {}
    ShimClient(const ShimClient&) = delete;
    ShimClient& operator=(const ShimClient&) = delete;

    /// A request on its way: what others send from now on is served after it.
    template <typename Request>
    class Sent {
    public:
        /// The supervisor's typed error comes back as it was; unavailable when the supervisor is
        /// gone or does not answer within the time-out. Once only.
        Result<typename Request::Reply> wait() {
            const Json body = TRY(client_->await(sequence_, Request::type, timeout_));
            return from_json<typename Request::Reply>(body, Request::type);
        }

    private:
        friend class ShimClient;
        Sent(ShimClient& client, std::uint64_t sequence, sys::Milliseconds timeout)
            : client_(&client), sequence_(sequence), timeout_(timeout) {}
        ShimClient* client_;
        std::uint64_t sequence_;
        sys::Milliseconds timeout_;
    };

    /// unavailable when the supervisor is gone.
    template <typename Request>
    Result<Sent<Request>> send(const Request& request, const std::vector<RoleFd>& fds = {},
                               sys::Milliseconds timeout = default_timeout) {
        return Sent<Request>(*this, TRY(post(Request::type, to_json(request), fds, timeout)),
                             timeout);
    }

    /// Sends the request and waits for its reply.
    template <typename Request>
    Result<typename Request::Reply> call(const Request& request,
                                         const std::vector<RoleFd>& fds = {},
                                         sys::Milliseconds timeout = default_timeout) {
        return TRY(send(request, fds, timeout)).wait();
    }

    FdView fd() const { return socket_; }
    bool is_closed() const;

    /// Reads one message, which has to be there: resolves its request, or gives the event.
    /// nullopt with is_closed() once the peer is gone.
    std::optional<Event> receive_one();
    /// Fails what is being waited for, and every later call.
    void close();

private:
    struct Waiting {
        std::optional<Result<Json>> reply;
    };

    /// Gives the request's sequence number, which await() must be called with.
    Result<std::uint64_t> post(std::string_view type, Json body, const std::vector<RoleFd>& fds,
                               sys::Milliseconds timeout);
    Result<Json> await(std::uint64_t sequence, std::string_view type, sys::Milliseconds timeout);
    Result<void> send_within(const Envelope& envelope, const std::vector<RoleFd>& fds,
                             sys::Milliseconds timeout);
    void resolve(Envelope envelope);

    Fd socket_;
    mutable std::mutex mutex_;  // guards what follows; a condition variable needs it bare
    std::condition_variable answered_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::uint64_t next_sequence_ = 1;
    bool closed_ = false;
};

}  // namespace corten::proto
