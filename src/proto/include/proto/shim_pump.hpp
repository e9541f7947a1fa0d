#pragma once
// Reads the control sockets of all supervisors on two threads: "shim-pump" matches replies to
// their requests, "shim-events" calls the handlers one after the other. A handler may therefore
// make requests itself; while it runs, other containers' events wait and replies do not.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <proto/shim_client.hpp>

#include <functional>
#include <memory>
#include <string>

namespace corten::proto {

struct ShimHandlers {
    std::function<void(const Event&)> on_event;
    /// The supervisor is gone. Called once, after its last event.
    std::function<void()> on_closed;
};

class ShimPump {
public:
    static Result<std::unique_ptr<ShimPump>> start();
    /// Stops both threads; clients that still exist fail every call from then on.
    ~ShimPump();
    ShimPump(const ShimPump&) = delete;
    ShimPump& operator=(const ShimPump&) = delete;

    /// Takes over one end of a socket pair whose other end is a new supervisor's descriptor 3.
    Result<std::shared_ptr<ShimClient>> add(Fd socket, ShimHandlers handlers);
    /// Adopts a running supervisor: connects to its shim.sock.
    Result<std::shared_ptr<ShimClient>> connect(const std::string& path, ShimHandlers handlers);
    /// Forgets the client without on_closed, and closes it: who waits for a reply is told that the
    /// supervisor is gone. A handler that is running now may still finish.
    void remove(ShimClient& client);

private:
    struct State;
    explicit ShimPump(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace corten::proto
