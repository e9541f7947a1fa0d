#pragma once
// What a daemon and a container's supervisor say to each other. Every request names its type and
// its reply; the roles of descriptors stand with the request that takes them. Binary data is
// base64 (base/text.hpp) because JSON has no bytes.
#include <proto/channel.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::proto {

struct Empty {
    static constexpr void fields(auto visit) { visit(); }
};

struct ConsoleSize {
    std::uint16_t height = 0;
    std::uint16_t width = 0;
    static constexpr void fields(auto visit) {
        visit(field("height", &ConsoleSize::height), field("width", &ConsoleSize::width));
    }
};

/// Where output is kept: Docker's json-file format. An empty path keeps nothing.
struct LogConfig {
    std::string path;
    std::int64_t max_size = -1;  ///< bytes of a file before it is rotated; -1 is no limit
    std::int32_t max_file = 1;   ///< files that are kept, the current one included
    std::string attrs;           ///< a JSON object for the "attrs" member of each line, or empty
    static constexpr void fields(auto visit) {
        visit(field("path", &LogConfig::path), field("max_size", &LogConfig::max_size),
              field("max_file", &LogConfig::max_file), field("attrs", &LogConfig::attrs));
    }
};

/// One step of starting a container, for `debug` output and benchmarks.
struct Phase {
    std::string name;
    std::int64_t microseconds = 0;
    static constexpr void fields(auto visit) {
        visit(field("name", &Phase::name), field("us", &Phase::microseconds));
    }
};

struct StartReply {
    std::int64_t pid = 0;         ///< in the daemon's pid namespace
    std::int64_t started_at = 0;  ///< nanoseconds since the epoch
    std::vector<Phase> phases;
    static constexpr void fields(auto visit) {
        visit(field("pid", &StartReply::pid), field("started_at", &StartReply::started_at),
              field("phases", &StartReply::phases));
    }
};

/// Creates and starts the container. Descriptors:
///   rootfs      the root mount, detached (else spec.root.path is a directory to use)
///   network     the network namespace to join
///   seccomp     a compiled BPF program (array of sock_filter); spec.linux.seccomp is then ignored
///   ns:TYPE     another namespace to join: ipc, uts, pid, cgroup, user, mount
///   mount:PATH  what the bind mount on PATH shows, instead of what its source names by now
struct StartRequest {
    static constexpr std::string_view type = "start";
    using Reply = StartReply;

    std::string id;
    std::string spec;  ///< OCI runtime config.json
    bool terminal = false;
    bool open_stdin = false;
    bool stdin_once = false;  ///< stdin ends when the first client that attached it has ended it
    ConsoleSize console;
    LogConfig log;
    std::string exit_file;         ///< where the ExitRecord is written; its directory exists
    std::string pid_file;          ///< or empty
    std::int64_t drain_ms = 2000;  ///< how long output may still come after the exit
    static constexpr void fields(auto visit) {
        visit(field("id", &StartRequest::id), field("spec", &StartRequest::spec),
              field("terminal", &StartRequest::terminal),
              field("open_stdin", &StartRequest::open_stdin),
              field("stdin_once", &StartRequest::stdin_once),
              field("console", &StartRequest::console), field("log", &StartRequest::log),
              field("exit_file", &StartRequest::exit_file),
              field("pid_file", &StartRequest::pid_file),
              field("drain_ms", &StartRequest::drain_ms));
    }
};

/// Which streams a client takes part in, and in which form.
struct AttachOptions {
    bool use_stdin = false;
    bool use_stdout = false;
    bool use_stderr = false;
    bool framed = false;      ///< Docker's 8-byte stream headers; raw bytes otherwise
    std::string detach_keys;  ///< the bytes (see parse_detach_keys); heeded on terminals only
    std::string preread;      ///< base64: what the client sent before the hand-over
    static constexpr void fields(auto visit) {
        visit(field("stdin", &AttachOptions::use_stdin),
              field("stdout", &AttachOptions::use_stdout),
              field("stderr", &AttachOptions::use_stderr), field("framed", &AttachOptions::framed),
              field("detach_keys", &AttachOptions::detach_keys),
              field("preread", &AttachOptions::preread));
    }
};

/// Hands a client's connection over, also before the start. Descriptors:
///   client      the connected socket, past the HTTP reply; the sender closes its own copy
/// The supervisor writes output, ends it with a shutdown and closes it.
struct AttachRequest {
    static constexpr std::string_view type = "attach";
    using Reply = Empty;

    std::string exec_id;    ///< empty: the container's own process
    bool terminal = false;  ///< before the start: what the container will be started with
    AttachOptions options;
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &AttachRequest::exec_id),
              field("terminal", &AttachRequest::terminal),
              field("options", &AttachRequest::options));
    }
};

struct ExecReply {
    std::int64_t pid = 0;
    static constexpr void fields(auto visit) { visit(field("pid", &ExecReply::pid)); }
};

/// Runs another process in the container. Descriptors:
///   client      optional, as with attach
///   seccomp     optional, as with start
/// When it cannot be started nothing is written to the client, and its descriptor is closed: the
/// caller keeps a copy until the reply and writes what it likes.
struct ExecRequest {
    static constexpr std::string_view type = "exec";
    using Reply = ExecReply;

    std::string exec_id;
    std::string process;  ///< OCI process object
    bool terminal = false;
    bool open_stdin = false;
    ConsoleSize console;
    std::optional<AttachOptions> attach;  ///< for the client descriptor
    std::int64_t capture = 0;  ///< keep this many bytes of output for the exec_exited event
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &ExecRequest::exec_id), field("process", &ExecRequest::process),
              field("terminal", &ExecRequest::terminal),
              field("open_stdin", &ExecRequest::open_stdin),
              field("console", &ExecRequest::console), field("attach", &ExecRequest::attach),
              field("capture", &ExecRequest::capture));
    }
};

/// Before the start: the size that the terminal will have.
struct ResizeRequest {
    static constexpr std::string_view type = "resize";
    using Reply = Empty;

    std::string exec_id;
    ConsoleSize size;
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &ResizeRequest::exec_id), field("size", &ResizeRequest::size));
    }
};

struct SignalRequest {
    static constexpr std::string_view type = "signal";
    using Reply = Empty;

    std::string exec_id;
    std::int32_t number = 0;
    bool all = false;  ///< every process of the container's cgroup
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &SignalRequest::exec_id), field("number", &SignalRequest::number),
              field("all", &SignalRequest::all));
    }
};

struct CloseStdinRequest {
    static constexpr std::string_view type = "close_stdin";
    using Reply = Empty;

    std::string exec_id;
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &CloseStdinRequest::exec_id));
    }
};

/// Opens the log at its path anew (after an outside tool has moved it).
struct LogReopenRequest {
    static constexpr std::string_view type = "log_reopen";
    using Reply = Empty;
    static constexpr void fields(auto visit) { visit(); }
};

/// How the container's first process ended: the exit file's content, and the event's body.
struct ExitRecord {
    std::int32_t code = 0;  ///< 128 + signal when signalled
    bool signalled = false;
    bool oom_killed = false;
    std::int64_t finished_at = 0;  ///< nanoseconds since the epoch
    static constexpr void fields(auto visit) {
        visit(field("code", &ExitRecord::code), field("signalled", &ExitRecord::signalled),
              field("oom_killed", &ExitRecord::oom_killed),
              field("finished_at", &ExitRecord::finished_at));
    }
};

struct ExecState {
    std::string exec_id;
    std::int64_t pid = 0;
    bool running = false;
    std::int32_t code = 0;
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &ExecState::exec_id), field("pid", &ExecState::pid),
              field("running", &ExecState::running), field("code", &ExecState::code));
    }
};

struct StateReply {
    std::string status;  ///< "created" (not started), "running", "stopped"
    std::string id;
    std::int64_t pid = 0;
    std::int64_t started_at = 0;  ///< nanoseconds since the epoch
    std::optional<ExitRecord> exit;
    std::vector<ExecState> execs;  ///< running ones, and the latest 64 that ended
    std::int64_t clients = 0;      ///< attached connections
    std::int64_t log_lost = 0;     ///< bytes of output that the log could not take
    static constexpr void fields(auto visit) {
        visit(field("status", &StateReply::status), field("id", &StateReply::id),
              field("pid", &StateReply::pid), field("started_at", &StateReply::started_at),
              field("exit", &StateReply::exit), field("execs", &StateReply::execs),
              field("clients", &StateReply::clients), field("log_lost", &StateReply::log_lost));
    }
};

struct StateRequest {
    static constexpr std::string_view type = "state";
    using Reply = StateReply;
    static constexpr void fields(auto visit) { visit(); }
};

/// The container is dead, or was never started: remove its cgroup, let go of the clients once they
/// have read everything, and exit. conflict while the container runs.
struct ReleaseRequest {
    static constexpr std::string_view type = "release";
    using Reply = Empty;
    static constexpr void fields(auto visit) { visit(); }
};

/// The first message to a supervisor that was started ahead of need: whose it is. Not answered.
/// Descriptors:
///   errors      where it writes what goes wrong; the lock on it lasts as long as the supervisor
struct AssignMessage {
    static constexpr std::string_view type = "assign";

    std::string directory;    ///< the container's runtime directory
    std::string cgroup_path;  ///< where its group will be
    static constexpr void fields(auto visit) {
        visit(field("directory", &AssignMessage::directory),
              field("cgroup_path", &AssignMessage::cgroup_path));
    }
};

// ---- events ---------------------------------------------------------------------------------

/// The container's first process has ended, the exit file is written and the log is complete.
/// The body is an ExitRecord.
inline constexpr std::string_view event_exited = "exited";
inline constexpr std::string_view event_exec_exited = "exec_exited";
inline constexpr std::string_view event_detached = "detached";
inline constexpr std::string_view event_log_lost = "log_lost";
/// The kernel killed a process of the container for memory; the container may live on.
inline constexpr std::string_view event_oom = "oom";

struct ExecExitedEvent {
    std::string exec_id;
    std::int32_t code = 0;
    std::string output;  ///< base64, as far as ExecRequest::capture asked for it
    static constexpr void fields(auto visit) {
        visit(field("exec_id", &ExecExitedEvent::exec_id), field("code", &ExecExitedEvent::code),
              field("output", &ExecExitedEvent::output));
    }
};

/// A client has typed its detach keys.
struct DetachedEvent {
    std::string exec_id;
    static constexpr void fields(auto visit) { visit(field("exec_id", &DetachedEvent::exec_id)); }
};

/// The log could not be written; the container goes on without it.
struct LogLostEvent {
    std::string reason;
    std::int64_t bytes = 0;  ///< lost since the supervisor started
    static constexpr void fields(auto visit) {
        visit(field("reason", &LogLostEvent::reason), field("bytes", &LogLostEvent::bytes));
    }
};

}  // namespace corten::proto
