#include "supervisor.hpp"

#include "memory.hpp"

#include <base/log.hpp>
#include <sys/epoll.h>
#include <sys/file.hpp>

#include <unistd.h>

#include <csignal>

namespace corten::shim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Nobody has anything to do with a supervisor that never started its container, or whose container
/// is dead, when no daemon has been connected for so long. The exit file tells the rest.
constexpr seconds unused_patience{10};
constexpr seconds dead_patience{60};

/// Not SIG_IGN: the container's process would inherit it.
void survive(int) {}

void survive_signals() {
    for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) {
        struct sigaction action{};
        action.sa_handler = survive;
        action.sa_flags = SA_RESTART;
        ::sigaction(number, &action, nullptr);
    }
}

/// Those whose role begins with `prefix`, by the rest of it.
std::map<std::string, Fd> take_all(proto::Received& received, std::string_view prefix) {
    std::map<std::string, Fd> out;
    for (auto& entry : received.fds)
        if (entry.role.starts_with(prefix))
            out[entry.role.substr(prefix.size())] = std::move(entry.fd);
    return out;
}

std::vector<proto::Phase> to_phases(const std::vector<runtime::Timing>& timings) {
    std::vector<proto::Phase> out;
    out.reserve(timings.size());
    for (const auto& timing : timings)
        out.push_back(
            {timing.phase,
             std::chrono::duration_cast<std::chrono::microseconds>(timing.duration).count()});
    return out;
}

}  // namespace

Supervisor::Supervisor(sys::Loop& loop, std::string directory, std::string cgroup_path)
    : loop_(loop),
      directory_(std::move(directory)),
      cgroup_path_(std::move(cgroup_path)),
      control_(loop, [this] { consider_leaving(); }),
      session_(loop,
               {.on_drained = [this] { announce_exit(); },
                .on_detached =
                    [this] { control_.broadcast(proto::event_detached, proto::DetachedEvent{}); },
                .on_log_failure = [this](const std::string& why) { report_lost_log(why); },
                .on_client_closed = [this] { consider_leaving(); }}),
      execs_(loop, control_, [this] { consider_leaving(); }) {}

Result<void> Supervisor::open(Fd control) {
    install_handlers();
    TRY(control_.listen(socket_path()));
    if (control) TRY(control_.add(std::move(control)));
    if (!cgroup_path_.empty())
        early_ = loop_.after(milliseconds(0), [this] { make_group_early(); });
    consider_leaving();
    return {};
}

/// Making a directory in every hierarchy is a good part of a start, and may be done while the
/// daemon prepares the rest. Whatever fails here fails again then, and is told.
void Supervisor::make_group_early() {
    if (created_ || released_) return;
    const auto layout = cgroup::Layout::detect();
    if (!layout) return;
    if (auto group = cgroup::Group::create(*layout, cgroup_path_)) early_group_ = *std::move(group);
}

void Supervisor::drop_early_group() {
    early_.reset();
    if (!early_group_) return;
    if (auto removed = early_group_->remove(); !removed)
        log::warning("container {}: {}, ignoring", id_, removed.error().message());
    early_group_.reset();
}

void Supervisor::install_handlers() {
    using namespace proto;
    control_.handle<StartRequest>(
        [this](StartRequest request, Received& in) { return start(std::move(request), in); });
    control_.handle<AttachRequest>(
        [this](const AttachRequest& request, Received& in) { return attach(request, in); });
    control_.handle<ExecRequest>(
        [this](ExecRequest request, Received& in) { return exec(std::move(request), in); });
    control_.handle<ResizeRequest>(
        [this](const ResizeRequest& request, Received&) { return resize(request); });
    control_.handle<SignalRequest>(
        [this](const SignalRequest& request, Received&) { return signal(request); });
    control_.handle<CloseStdinRequest>(
        [this](const CloseStdinRequest& request, Received&) { return close_stdin(request); });
    control_.handle<LogReopenRequest>(
        [this](const LogReopenRequest&, Received&) { return reopen_log(); });
    control_.handle<StateRequest>([this](const StateRequest&, Received&) { return state(); });
    control_.handle<ReleaseRequest>([this](const ReleaseRequest&, Received&) { return release(); });
}

// ---- start ----------------------------------------------------------------------------------

Result<proto::StartReply> Supervisor::start(proto::StartRequest request,
                                            proto::Received& received) {
    if (created_) return fail(ErrorKind::conflict, "container {} was started already", request.id);
    if (released_)
        return fail(ErrorKind::conflict, "the supervisor of {} was released", request.id);
    auto reply = launch(request, received);
    if (!reply) undo_start();
    rest_soon();
    return reply;
}

/// Off the path of a start, and not at all for a container that ends at once.
void Supervisor::rest_soon() {
    rest_ = loop_.after(seconds(1), [] { trim_memory(); });
}

Result<proto::StartReply> Supervisor::launch(const proto::StartRequest& request,
                                             proto::Received& received) {
    using Clock = std::chrono::steady_clock;
    const auto asked = Clock::now();
    id_ = request.id;
    exit_file_ = request.exit_file;
    control_.set_step("log");
    TRY(open_log(request.log));
    session_.configure({.terminal = request.terminal,
                        .open_stdin = request.open_stdin,
                        .stdin_once = request.stdin_once,
                        .log = log_ ? &*log_ : nullptr,
                        .drain = milliseconds(request.drain_ms)});
    control_.set_step("stdio");
    if (request.console.height != 0) TRY(session_.resize(request.console));
    const ChildStdio stdio = TRY(session_.prepare());
    control_.set_step("create");
    auto wanted = TRY(launch_request(request, received));
    wanted.stdio = {stdio.in, stdio.out, stdio.err};
    early_.reset();
    if (early_group_ && wanted.spec.linux_section.cgroups_path == early_group_->path())
        wanted.make_cgroup = [group = *early_group_] { return Result<cgroup::Group>(group); };
    const auto understood = Clock::now();
    created_ = TRY(runtime::create(std::move(wanted)));
    early_group_.reset();
    pid_ = created_->init.process().pid();
    control_.set_step("prepare");
    TRY(watch_init());
    if (!request.pid_file.empty())
        TRY(sys::write_file_atomic(request.pid_file, fmt::format("{}\n", pid_)));
    control_.set_step("start");
    const auto ready = Clock::now();
    TRY(created_->start());
    created_->timings.push_back({"request", understood - asked});
    created_->timings.push_back({"execute", Clock::now() - ready});
    started_at_ = unix_nanoseconds(now());
    control_.set_step("stdio");
    TRY(session_.begin(std::move(created_->console_master)));
    return proto::StartReply{pid_, started_at_, to_phases(created_->timings)};
}

Result<void> Supervisor::open_log(const proto::LogConfig& config) {
    log_.reset();
    if (config.path.empty()) return {};
    log_ = TRY(logfile::Writer::open({.path = config.path,
                                      .max_size = config.max_size,
                                      .max_file = config.max_file,
                                      .attrs = config.attrs}));
    return {};
}

Result<runtime::LaunchRequest> Supervisor::launch_request(const proto::StartRequest& request,
                                                          proto::Received& received) {
    runtime::LaunchRequest out;
    out.spec = TRY(oci::parse_spec(request.spec));
    out.id = request.id;
    out.bundle = directory_;
    out.root_mount = received.take("rootfs");
    out.seccomp_program = received.take("seccomp");
    out.namespaces = take_all(received, "ns:");
    if (Fd network = received.take("network")) out.namespaces["network"] = std::move(network);
    out.mount_sources = take_all(received, "mount:");
    out.die_with_parent = true;
    if (out.spec.process) out.spec.process->terminal = request.terminal;
    seccomp_ = out.spec.linux_section.seccomp;
    if (out.seccomp_program) seccomp_program_ = TRY(sys::duplicate(out.seccomp_program));
    return out;
}

Result<void> Supervisor::watch_init() {
    init_watch_ = TRY(loop_.watch(created_->init.process().fd(), EPOLLIN,
                                  [this](std::uint32_t) { on_init_exit(); }));
    // Without the memory controller nothing is lost but the event.
    auto oom = created_->cgroup.watch_oom();
    if (!oom) return {};
    oom_ = std::move(*oom);
    oom_watch_ = TRY(loop_.watch(oom_, EPOLLIN | EPOLLPRI, [this](std::uint32_t) { on_oom(); }));
    return {};
}

/// The container is as it was before: not started. Clients wait on, the caller decides about them.
void Supervisor::undo_start() {
    init_watch_.reset();
    oom_watch_.reset();
    oom_.reset();
    session_.abandon();
    session_.configure({.terminal = session_.is_terminal()});
    log_.reset();
    seccomp_.reset();
    seccomp_program_.reset();
    pid_ = 0;
    drop_early_group();
    if (!created_) return;
    const cgroup::Group group = created_->cgroup;
    created_.reset();  // kills and reaps
    if (auto removed = group.remove(); !removed)
        log::warning("container {}: {}, ignoring", id_, removed.error().message());
}

// ---- requests -------------------------------------------------------------------------------

Result<Session*> Supervisor::session_of(const std::string& exec_id) {
    if (exec_id.empty()) return &session_;
    return execs_.session(exec_id);
}

Result<proto::Empty> Supervisor::attach(const proto::AttachRequest& request,
                                        proto::Received& received) {
    Session* session = TRY(session_of(request.exec_id));
    if (!created_) session->configure({.terminal = request.terminal});
    Fd client = received.take("client");
    if (!client) return fail(ErrorKind::invalid, "attach without a client's descriptor");
    TRY(session->attach(std::move(client), request.options));
    return proto::Empty{};
}

Result<proto::ExecReply> Supervisor::exec(proto::ExecRequest request, proto::Received& received) {
    TRY(check_running());
    const ExecTarget target{.id = id_,
                            .bundle = directory_,
                            .init = &created_->init.process(),
                            .cgroup = created_->cgroup,
                            .seccomp = seccomp_,
                            .seccomp_program = seccomp_program_};
    auto reply = execs_.start(target, std::move(request), received);
    rest_soon();
    return reply;
}

Result<proto::Empty> Supervisor::resize(const proto::ResizeRequest& request) {
    TRY(TRY(session_of(request.exec_id))->resize(request.size));
    return proto::Empty{};
}

Result<proto::Empty> Supervisor::signal(const proto::SignalRequest& request) {
    TRY(check_running());
    if (request.all)
        TRY(created_->cgroup.kill_all(request.number));
    else if (request.exec_id.empty())
        TRY(created_->init.process().signal(request.number));
    else
        TRY(execs_.signal(request.exec_id, request.number));
    return proto::Empty{};
}

Result<proto::Empty> Supervisor::close_stdin(const proto::CloseStdinRequest& request) {
    TRY(session_of(request.exec_id))->close_stdin();
    return proto::Empty{};
}

Result<proto::Empty> Supervisor::reopen_log() {
    if (log_) TRY(log_->reopen());
    return proto::Empty{};
}

Result<proto::StateReply> Supervisor::state() {
    proto::StateReply reply;
    reply.status = exit_ ? "stopped" : created_ ? "running" : "created";
    reply.id = id_;
    reply.pid = pid_;
    reply.started_at = started_at_;
    reply.exit = exit_;
    reply.execs = execs_.states();
    reply.clients = static_cast<std::int64_t>(client_count());
    reply.log_lost = log_ ? log_->lost_bytes() : 0;
    return reply;
}

Result<void> Supervisor::check_running() const {
    if (!created_) return fail(ErrorKind::conflict, "the container was not started");
    if (exit_) return fail(ErrorKind::conflict, "container {} is not running", id_);
    return {};
}

// ---- the end --------------------------------------------------------------------------------

/// The namespaces are held open by created_, so this comes before the kernel takes them down; that
/// takes milliseconds and nobody has to wait for it.
void Supervisor::on_init_exit() {
    init_watch_.reset();
    oom_watch_.reset();
    const auto status = created_->init.wait();
    // Only another reaper in this process could make it fail, and there is none.
    const auto ended = status ? *status : sys::ExitStatus{.code = 255};
    exit_ = proto::ExitRecord{.code = ended.code,
                              .signalled = ended.signalled,
                              .oom_killed = created_->cgroup.oom_kills() > 0,
                              .finished_at = unix_nanoseconds(now())};
    write_exit_file();
    // With a pid namespace of its own nothing is left; without one, what it started must go too.
    if (auto killed = created_->cgroup.kill_all(); !killed)
        log::warning("container {}: {}, ignoring", id_, killed.error().message());
    session_.process_exited();
}

void Supervisor::write_exit_file() {
    if (exit_file_.empty()) return;
    auto written = sys::write_file_atomic(exit_file_, dump_json(to_json(*exit_)) + "\n", 0600);
    // The event and the state still tell it to a daemon that is there.
    if (!written) log::error("container {}: {}", id_, written.error().message());
}

void Supervisor::announce_exit() {
    exit_announced_ = true;
    control_.broadcast(proto::event_exited, *exit_);
    // A daemon releases this supervisor at once, which ends it and the namespaces; without one they
    // end here.
    constexpr milliseconds for_the_daemon{200};
    rest_ = loop_.after(for_the_daemon, [this] {
        created_->mount_ns.reset();
        created_->net_ns.reset();
    });
    consider_leaving();
}

void Supervisor::on_oom() {
    if (created_->cgroup.new_ooms(oom_, oom_kills_) > 0)
        control_.broadcast(proto::event_oom, proto::Empty{});
}

void Supervisor::report_lost_log(const std::string& reason) {
    control_.broadcast(proto::event_log_lost, proto::LogLostEvent{reason, log_->lost_bytes()});
}

Result<proto::Empty> Supervisor::release() {
    if (created_ && !exit_) return fail(ErrorKind::conflict, "container {} is still running", id_);
    if (created_) TRY(created_->cgroup.remove());
    drop_early_group();
    TRY(sys::remove_file(socket_path()));  // a next supervisor of this container may listen there
    leave();
    return proto::Empty{};
}

void Supervisor::leave() {
    released_ = true;
    session_.finish_clients();
    execs_.finish_clients();
    consider_leaving();
}

std::size_t Supervisor::client_count() const {
    return session_.client_count() + execs_.client_count();
}

/// Called whenever someone has gone. Leaves only from the loop: a reply may still have to be sent.
void Supervisor::consider_leaving() {
    if (released_) {
        if (client_count() == 0) leaving_ = loop_.after(milliseconds(0), [this] { loop_.stop(); });
        return;
    }
    const bool running = created_ && !exit_announced_;
    if (running || control_.connection_count() > 0 || client_count() > 0) return leaving_.reset();
    if (leaving_.pending()) return;
    leaving_ = loop_.after(exit_ ? dead_patience : unused_patience, [this] { leave_unasked(); });
}

void Supervisor::leave_unasked() {
    const bool running = created_ && !exit_announced_;
    if (running || control_.connection_count() > 0 || client_count() > 0) return;
    if (auto released = release(); !released)
        log::error("container {}: {}", id_, released.error().message());
    loop_.stop();
}

Result<void> supervise(const std::string& runtime_directory, const std::string& cgroup_path,
                       Fd control) {
    limit_memory();
    survive_signals();
    auto loop = TRY(sys::Loop::create());
    Supervisor supervisor(*loop, runtime_directory, cgroup_path);
    TRY(supervisor.open(std::move(control)));
    return loop->run();
}

}  // namespace corten::shim
