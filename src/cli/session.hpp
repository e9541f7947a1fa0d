#pragma once
// A session with a process in a container over a raw stream: attach, run, exec. Standard input goes
// in, the process's output comes out, signals and window sizes are passed on.
#include "terminal.hpp"

#include <base/result.hpp>
#include <http/client.hpp>

#include <functional>
#include <optional>
#include <string>

namespace corten::cli {

struct SessionOptions {
    bool tty = false;
    bool send_input = false;
    bool multiplexed = true;  ///< frames of 8 byte heads; otherwise all is standard output
    std::string detach_keys = "\x10\x11";
    /// Called for SIGWINCH with the terminal's size.
    std::function<void(WindowSize)> on_resize;
    /// Called with signals that end or stop programs; nullptr leaves them to the system.
    std::function<void(int)> on_signal;
};

enum class SessionEnd { output_ended, detached };

/// A session that is prepared (signals are caught, the terminal is raw) and then run. Making it
/// before the process starts means that nothing that is typed or signalled in between gets lost.
class Session {
public:
    static Result<Session> prepare(SessionOptions options);
    Session(Session&&) noexcept;
    Session& operator=(Session&&) = delete;
    ~Session();

    /// Pumps until the process's output ends or the user detaches. Consumes the stream.
    Result<SessionEnd> run(http::Upgraded stream);

    struct State;

private:
    explicit Session(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Takes a multiplexed stream apart; bytes may come in any pieces.
class Demultiplexer {
public:
    /// Calls `write` with 1 (output) or 2 (errors) and payload. A frame of the daemon itself (3) is
    /// an error with its text.
    Result<void> take(std::string_view bytes,
                      const std::function<Result<void>(int, std::string_view)>& write);

private:
    std::string head_;
    std::size_t left_ = 0;
    int stream_ = 0;
    std::string complaint_;
};

/// Writes all bytes to standard output (1) or standard error (2).
Result<void> write_output(int stream, std::string_view bytes);

/// "SIGINT", "INT" or "2" for signal 2; as the daemon takes them.
std::string signal_name(int number);

}  // namespace corten::cli
