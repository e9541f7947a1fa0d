#include "execs.hpp"

#include "memory.hpp"

#include <base/text.hpp>
#include <sys/epoll.h>
#include <sys/file.hpp>

namespace corten::shim {

namespace {
constexpr std::size_t remembered = 64;

Result<Fd> duplicate(FdView fd) {
    if (!fd.valid()) return Fd();
    return sys::duplicate(fd);
}
}  // namespace

std::unique_ptr<Session> Execs::make_session(const std::string& exec_id) {
    return std::make_unique<Session>(
        loop_, SessionHooks{
                   .on_drained = [this, exec_id] { on_drained(exec_id); },
                   .on_detached =
                       [this, exec_id] {
                           control_.broadcast(proto::event_detached, proto::DetachedEvent{exec_id});
                       },
                   .on_log_failure = [](const std::string&) {},  // an exec has no log
                   .on_client_closed = [this] { sweep(); },
               });
}

Result<proto::ExecReply> Execs::start(const ExecTarget& target, proto::ExecRequest request,
                                      proto::Received& received) {
    if (execs_.contains(request.exec_id))
        return fail(ErrorKind::conflict, "exec {} runs already", request.exec_id);
    Exec exec;
    exec.session = make_session(request.exec_id);
    exec.session->configure({.terminal = request.terminal,
                             .open_stdin = request.open_stdin,
                             .stdin_once = true,
                             .capture = static_cast<std::size_t>(request.capture)});
    TRY(exec.session->resize(request.console));
    TRY(launch(target, request, received.take("seccomp"), exec));
    const pid_t pid = exec.pid;
    Exec& running = execs_[request.exec_id] = std::move(exec);
    // The program runs now: a client that cannot be served ends as if it had gone away.
    if (Fd client = received.take("client"); client && request.attach)
        running.session->attach(std::move(client), *request.attach).ignore();
    return proto::ExecReply{pid};
}

Result<void> Execs::launch(const ExecTarget& target, const proto::ExecRequest& request, Fd program,
                           Exec& exec) {
    runtime::ExecRequest wanted;
    wanted.process = TRY(parse_as<oci::Process>(request.process, "process to execute"));
    wanted.process.terminal = request.terminal;
    if (request.terminal && request.console.height != 0)
        wanted.process.console_size = {request.console.height, request.console.width};
    wanted.container = target.init->duplicate();
    wanted.cgroup = target.cgroup;
    wanted.seccomp = target.seccomp;
    wanted.seccomp_program = program ? std::move(program) : TRY(duplicate(target.seccomp_program));
    wanted.die_with_parent = true;
    wanted.state = {.id = target.id,
                    .status = "running",
                    .pid = target.init->pid(),
                    .bundle = target.bundle,
                    .annotations = {}};
    const ChildStdio stdio = TRY(exec.session->prepare());
    wanted.stdio = {stdio.in, stdio.out, stdio.err};
    auto process = TRY(runtime::exec(std::move(wanted)));
    exec.child = std::move(process.child);
    exec.pid = exec.child.process().pid();
    exec.watch = TRY(loop_.watch(exec.child.process().fd(), EPOLLIN,
                                 [this, id = request.exec_id](std::uint32_t) { on_exit(id); }));
    return exec.session->begin(std::move(process.console_master));
}

Result<Session*> Execs::session(const std::string& exec_id) {
    const auto found = execs_.find(exec_id);
    if (found == execs_.end() || found->second.code)
        return fail(ErrorKind::not_found, "exec {} does not run", exec_id);
    return found->second.session.get();
}

Result<void> Execs::signal(const std::string& exec_id, int number) {
    TRY(session(exec_id));
    return execs_.at(exec_id).child.process().signal(number);
}

void Execs::on_exit(const std::string& exec_id) {
    Exec& exec = execs_.at(exec_id);
    exec.watch.reset();
    const auto status = exec.child.wait();
    // Only another reaper in this process could make it fail, and there is none.
    exec.code = status ? status->code : 255;
    exec.session->process_exited();
}

void Execs::on_drained(const std::string& exec_id) {
    Exec& exec = execs_.at(exec_id);
    exec.drained = true;
    control_.broadcast(
        proto::event_exec_exited,
        proto::ExecExitedEvent{exec_id, *exec.code, base64_encode(exec.session->captured())});
    ended_.push_back({exec_id, exec.pid, false, *exec.code});
    if (ended_.size() > remembered) ended_.pop_front();
    sweep();
}

/// Later, as the session whose hook this is must not end within it.
void Execs::sweep() {
    if (sweep_.pending()) return;
    sweep_ = loop_.after(std::chrono::milliseconds(0), [this] {
        std::erase_if(execs_, [](const auto& item) {
            return item.second.drained && item.second.session->client_count() == 0;
        });
        trim_memory();
        on_client_closed_();
    });
}

std::vector<proto::ExecState> Execs::states() const {
    std::vector<proto::ExecState> out(ended_.begin(), ended_.end());
    for (const auto& [id, exec] : execs_)
        if (!exec.drained) out.push_back({id, exec.pid, !exec.code, exec.code.value_or(0)});
    return out;
}

std::size_t Execs::client_count() const {
    std::size_t count = 0;
    for (const auto& [id, exec] : execs_) count += exec.session->client_count();
    return count;
}

void Execs::finish_clients() {
    for (auto& [id, exec] : execs_) exec.session->finish_clients();
}

}  // namespace corten::shim
