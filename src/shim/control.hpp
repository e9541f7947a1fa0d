#pragma once
// The supervisor's control sockets: any number of connections, requests answered in the order in
// which they come, events sent to all. A daemon that does not read loses its connection rather
// than holds the container up; it connects again and asks for the state.

#include <base/fd.hpp>
#include <base/result.hpp>
#include <proto/channel.hpp>
#include <sys/loop.hpp>

#include <functional>
#include <list>
#include <map>
#include <string>

namespace corten::shim {

class Control {
public:
    /// Gives the reply's body.
    using Handler = std::function<Result<Json>(proto::Received& request)>;

    Control(sys::Loop& loop, std::function<void()> on_disconnect)
        : loop_(loop), on_disconnect_(std::move(on_disconnect)) {}

    Result<void> listen(const std::string& path);
    Result<void> add(Fd socket);
    /// The handler of Request::type, with typed body and reply.
    template <typename Request>
    void handle(std::function<Result<typename Request::Reply>(Request, proto::Received&)> handler) {
        handlers_[std::string(Request::type)] =
            [run = std::move(handler)](proto::Received& received) -> Result<Json> {
            auto request = TRY(from_json<Request>(received.envelope.body, Request::type));
            return to_json(TRY(run(std::move(request), received)));
        };
    }
    /// Which step the request that is being handled has come to, for its error.
    void set_step(std::string step) { step_ = std::move(step); }

    template <typename Body>
    void broadcast(std::string_view type, const Body& body) {
        send_to_all({.seq = 0, .type = std::string(type), .body = to_json(body)});
    }
    std::size_t connection_count() const { return connections_.size(); }

private:
    struct Connection {
        Fd socket;
        sys::Loop::Watch watch;
        bool broken = false;
    };

    void on_readable(Connection& connection);
    void answer(Connection& connection, proto::Received& request);
    void send_to_all(const proto::Envelope& envelope);
    void drop_broken();

    sys::Loop& loop_;
    std::function<void()> on_disconnect_;
    std::map<std::string, Handler> handlers_;
    std::list<Connection> connections_;
    Fd listener_;
    sys::Loop::Watch listener_watch_;
    sys::Loop::Timer sweep_;
    std::string step_;
};

}  // namespace corten::shim
