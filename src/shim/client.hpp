#pragma once
// One attached connection: output towards it with a bounded queue, input from it with the detach
// keys taken out. Owned by a Session, which is told by the hooks.

#include <base/fd.hpp>
#include <base/result.hpp>
#include <proto/detach_keys.hpp>
#include <proto/shim_messages.hpp>
#include <sys/loop.hpp>

#include <logfile/codec.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace corten::shim {

using logfile::Stream;

/// Above this many bytes a client's streams are no longer read, below half of it they are again.
inline constexpr std::size_t client_queue_limit = 1 << 20;

class Client;

struct ClientHooks {
    std::function<void(std::string_view)> on_input;
    /// The client has ended its sending side, or is gone. At most once.
    std::function<void()> on_input_end;
    std::function<void()> on_detach;
    /// The queue has become shorter than half its limit.
    std::function<void()> on_drained;
    /// Nothing more will happen: to be dropped. Not called from within send().
    std::function<void()> on_closed;
};

class Client {
public:
    static Result<std::unique_ptr<Client>> create(sys::Loop& loop, Fd socket,
                                                  proto::AttachOptions options, ClientHooks hooks);

    bool wants(Stream stream) const {
        return state_ == State::open &&
               (stream == Stream::out ? options_.use_stdout : options_.use_stderr);
    }
    bool wants_input() const { return options_.use_stdin; }
    /// Never blocks; what the socket does not take is queued, however long that becomes.
    void send(Stream stream, std::string_view bytes);
    bool is_behind() const { return queued() > client_queue_limit; }
    bool is_closed() const { return state_ == State::closed; }

    /// Bytes that arrived before the hand-over; to be called once the session is ready for them.
    void take_preread(std::string_view bytes);
    void heed_detach_keys(bool heed) { heed_detach_keys_ = heed; }
    /// Input is not read while the process does not take it.
    void hold_input(bool hold);
    /// No output will follow: sends what is queued, ends the connection politely, and closes.
    void finish();

private:
    enum class State {
        open,
        flushing,   ///< the queue is being sent
        lingering,  ///< our side is shut; input is thrown away until the peer has closed
        closed,
    };

    Client(sys::Loop& loop, Fd socket, proto::AttachOptions options, ClientHooks hooks);
    std::size_t queued() const { return queue_.size() - sent_; }
    void on_ready(std::uint32_t events);
    /// False when there was nothing.
    bool read_input();
    void on_hang_up();
    void pass_input(std::string_view bytes);
    void end_input();
    void flush();
    void linger();
    void close();
    void update_watch();
    void expect_progress();

    sys::Loop& loop_;
    Fd socket_;
    proto::AttachOptions options_;
    ClientHooks hooks_;
    proto::DetachMatcher matcher_;
    sys::Loop::Watch watch_;
    sys::Loop::Timer deadline_;  // of flushing and lingering
    sys::Loop::Timer closing_;   // defers on_closed
    State state_ = State::open;
    std::string queue_;
    std::size_t sent_ = 0;  // of the queue
    bool heed_detach_keys_ = false;
    bool input_held_ = false;
    bool input_ended_ = false;
};

}  // namespace corten::shim
