#pragma once
// The standard streams of one process: its end of the pipes or the terminal, its log, and the
// clients attached to it. It exists before the process does, so that a client can attach first.
//
//   created ──prepare()──► child's ends exist ──begin()──► pumped ──process_exited()──► drained
#include "client.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <proto/shim_messages.hpp>
#include <sys/loop.hpp>

#include <logfile/writer.hpp>

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace corten::shim {

struct SessionOptions {
    bool terminal = false;
    bool open_stdin = false;
    bool stdin_once = false;
    logfile::Writer* log = nullptr;         ///< outlives the session
    std::size_t capture = 0;                ///< bytes of output to keep for captured()
    std::chrono::milliseconds drain{2000};  ///< longest wait for the end of output after the exit
};

struct SessionHooks {
    /// After process_exited(): the log has everything. Clients may still have to read.
    std::function<void()> on_drained;
    std::function<void()> on_detached;
    std::function<void(const std::string& reason)> on_log_failure;
    /// A client is gone.
    std::function<void()> on_client_closed;
};

/// The child's ends. Invalid ones are /dev/null, or the terminal's.
struct ChildStdio {
    Fd in;
    Fd out;
    Fd err;
};

class Session {
public:
    Session(sys::Loop& loop, SessionHooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Before begin(), at any time.
    void configure(SessionOptions options);
    Result<void> attach(Fd socket, const proto::AttachOptions& options);
    /// Makes the pipes (none for a terminal). The child's ends are to be closed after the start.
    Result<ChildStdio> prepare();
    /// The process runs: output is read, and input that has waited goes to it.
    Result<void> begin(Fd console_master);
    /// Undoes prepare(): the process could not be started. Clients stay.
    void abandon();
    void process_exited();

    /// Kept until there is a terminal.
    Result<void> resize(proto::ConsoleSize size);
    proto::ConsoleSize console_size() const { return size_; }
    void close_stdin();
    /// Ends the clients' connections once they have read everything. Automatic when drained.
    void finish_clients();

    bool is_terminal() const { return options_.terminal; }
    std::size_t client_count() const { return clients_.size(); }
    const std::string& captured() const { return captured_; }

private:
    struct Output {
        Stream stream = Stream::out;
        Fd fd;
        sys::Loop::Watch watch;
        sys::Loop::Timer retry;
        bool held = false;  // a client is behind
    };

    bool any_output_open() const;
    void on_output(Output& output);
    /// One read. False when there is nothing more now.
    bool pump(Output& output);
    void deliver(Stream stream, std::string_view bytes);
    void close_output(Output& output);
    void on_terminal_idle(Output& output);
    void check_back_pressure();
    void release_back_pressure();

    void on_input(std::string_view bytes);
    void on_input_end();
    void flush_input();
    void hold_clients(bool hold);
    void drop_input();

    void drain_available();
    void wait_for_end();
    void finish_draining();
    void sweep_clients();
    void give_memory_back();

    sys::Loop& loop_;
    SessionHooks hooks_;
    SessionOptions options_;
    proto::ConsoleSize size_;
    std::list<std::unique_ptr<Client>> clients_;
    std::array<Output, 2> outputs_{Output{.stream = Stream::out}, Output{.stream = Stream::err}};
    Fd stdin_;  // our end of the pipe, or a second descriptor of the terminal
    sys::Loop::Watch stdin_watch_;
    std::string input_;
    bool input_ends_ = false;     // close stdin once input_ is written
    bool input_refused_ = false;  // nobody reads it
    bool client_ended_ = false;   // one that takes part in stdin has ended its side
    bool running_ = false;
    bool exited_ = false;
    bool drained_ = false;
    bool taking_the_rest_ = false;  // in drain_available()
    std::uint64_t bytes_read_ = 0;
    std::uint64_t bytes_seen_by_timer_ = 0;
    sys::Loop::Timer quiet_;
    sys::Loop::Timer deadline_;
    sys::Loop::Timer idle_;
    std::string captured_;
};

}  // namespace corten::shim
