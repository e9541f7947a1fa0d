#pragma once
// Containers: their life from create to remove. Every function may be called from any thread; ones
// that change a container wait for the container's own operation in progress, never for another's.
// `ref` is a full id, a name with or without its slash, or a unique id prefix; a ref that names
// nothing is not_found with docker's text ("No such container: x").
#include <apitypes/container.hpp>
#include <apitypes/container_config.hpp>
#include <apitypes/stats.hpp>
#include <base/clock.hpp>
#include <base/stream.hpp>
#include <engine/events.hpp>
#include <sys/poll.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::engine {

class Context;  // the engine's shared parts, private to src/engine
class Container;

enum class ContainerStatus { created, running, paused, restarting, removing, exited, dead };
std::string_view to_string(ContainerStatus status);

/// What other layers ask about a container without rendering all of it.
struct ContainerBrief {
    std::string id;
    std::string name;  ///< without the slash
    ContainerStatus status = ContainerStatus::created;
    bool tty = false;
    bool running = false;  ///< running, paused or restarting
};

/// Whether what is mounted below a read-only bind is read-only, too, where its options do not say.
enum class ReadOnlyBinds { recursive, shallow };

struct CreateContainer {
    std::string name;  ///< empty: one is made up
    apitypes::ContainerConfig config;
    apitypes::HostConfig host;
    apitypes::NetworkingConfig networking;
    std::string platform;  ///< os/arch[/variant], or empty
    ReadOnlyBinds read_only_binds = ReadOnlyBinds::recursive;
};

struct ListContainers {
    bool all = false;
    int limit = 0;  ///< newest first; 0 and below mean no limit
    bool size = false;
    Filters filters;
};

enum class WaitCondition { not_running, next_exit, removed };

struct WaitResult {
    int exit_code = 0;
    std::string error;  ///< why the container did not run, or empty
};

/// A wait that is registered: whatever happens from now on counts.
class Waiter {
public:
    virtual ~Waiter() = default;
    /// nullopt when `cancel` became readable first.
    virtual Result<std::optional<WaitResult>> wait(FdView cancel) = 0;
};

struct AttachRequest {
    bool stdin_stream = false;
    bool stdout_stream = false;
    bool stderr_stream = false;
    bool logs = false;        ///< what was written so far comes first
    bool stream = false;      ///< and then what comes
    bool framed = true;       ///< without a terminal: in frames that say which stream it is
    std::string detach_keys;  ///< docker's notation; empty for ctrl-p,ctrl-q
};

/// A client's connection after its HTTP part: the socket and the bytes that were read too far.
struct ClientStream {
    Fd socket;
    std::string early_bytes;
};

/// An attach that was checked and can be answered with success.
class Attachment {
public:
    virtual ~Attachment() = default;
    /// True when output is raw bytes (terminal); false for 8-byte framed streams.
    virtual bool tty() const = 0;
    /// Before the client is told that it is connected: keeps a start, which it may ask for at once,
    /// until connect() has handed it over.
    virtual void hold() {}
    /// Hands the socket to the supervisor and returns; the daemon is out of the data path.
    virtual Result<void> connect(ClientStream client) = 0;
};

struct LogRequest {
    bool stdout_stream = false;
    bool stderr_stream = false;
    bool follow = false;
    std::optional<std::int64_t> tail;  ///< lines from the end; nullopt for all
    std::optional<WallTime> since;
    std::optional<WallTime> until;
};

struct LogLine {
    WallTime time;
    bool is_stderr = false;
    std::string text;  ///< with its newline, when it has one
};

class LogStream {
public:
    virtual ~LogStream() = default;
    virtual bool tty() const = 0;
    /// nullopt at the end, and when `cancel` became readable.
    virtual Result<std::optional<LogLine>> next(FdView cancel) = 0;
};

struct RemoveContainer {
    bool force = false;
    bool volumes = false;
};

struct StopContainer {
    std::optional<int> timeout_seconds;  ///< -1 waits for ever; nullopt takes the container's own
    std::string signal;                  ///< empty takes the container's own
};

enum class ArchiveEncoding { plain, gzip };

struct PathStat {
    std::string name;
    std::int64_t size = 0;
    std::uint32_t mode = 0;  ///< st_mode
    WallTime modified;
    std::string link_target;
};

struct PutArchive {
    bool no_overwrite_dir_non_dir = false;
    bool copy_uid_gid = false;
};

class Containers {
public:
    explicit Containers(Context& context);

    Result<apitypes::CreateReply> create(CreateContainer request);
    Result<ContainerBrief> find(std::string_view ref) const;
    Result<apitypes::ContainerInspect> inspect(std::string_view ref, bool size) const;
    Result<std::vector<apitypes::ContainerSummary>> list(const ListContainers& request) const;

    /// not_modified when it runs already.
    Result<void> start(std::string_view ref);
    /// not_modified when it does not run.
    Result<void> stop(std::string_view ref, const StopContainer& request);
    Result<void> restart(std::string_view ref, const StopContainer& request);
    /// `signal` is a name with or without SIG, or a number; empty is SIGKILL.
    Result<void> kill(std::string_view ref, std::string_view signal);
    Result<void> pause(std::string_view ref);
    Result<void> unpause(std::string_view ref);
    Result<void> rename(std::string_view ref, std::string_view name);
    Result<void> resize(std::string_view ref, std::uint16_t rows, std::uint16_t columns);
    Result<void> remove(std::string_view ref, const RemoveContainer& request);
    Result<apitypes::UpdateReply> update(std::string_view ref,
                                         const apitypes::UpdateRequest& request);
    Result<apitypes::ContainersPruned> prune(const Filters& filters);

    Result<std::unique_ptr<Waiter>> begin_wait(std::string_view ref, WaitCondition condition);
    Result<std::unique_ptr<Attachment>> attach(std::string_view ref, const AttachRequest& request);
    Result<std::unique_ptr<LogStream>> logs(std::string_view ref, const LogRequest& request);

    Result<apitypes::TopReply> top(std::string_view ref, std::string_view ps_arguments) const;
    /// One sample; a container that does not run gives zeros. precpu is left empty.
    Result<apitypes::Stats> stats(std::string_view ref) const;
    Result<std::vector<apitypes::Change>> changes(std::string_view ref) const;

    Result<PathStat> stat_path(std::string_view ref, const std::string& path) const;
    /// A tar of `path` into `sink`.
    Result<void> get_archive(std::string_view ref, const std::string& path,
                             ArchiveEncoding encoding, const ByteSink& sink);
    Result<void> put_archive(std::string_view ref, const std::string& path,
                             const PutArchive& options, const ByteSource& source);
    /// The whole file system as a tar.
    Result<void> export_archive(std::string_view ref, const ByteSink& sink);

    /// The view of `corten explain`.
    Result<Json> explain(std::string_view ref) const;

private:
    Context& context_;
};

}  // namespace corten::engine
