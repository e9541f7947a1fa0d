#include "channel.hpp"
#include "clone_inside.hpp"
#include "kernel_settings.hpp"
#include "plan.hpp"
#include "process_plan.hpp"
#include "rootfs.hpp"
#include "seccomp_load.hpp"
#include "stopwatch.hpp"

#include <runtime/exec.hpp>
#include <runtime/rights.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.hpp>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace corten::runtime {
namespace {

struct ExecPlan {
    ProcessPlan process;
    sys::PidRef container;
    cgroup::Group cgroup;
    int namespaces = 0;  ///< CLONE_NEW* of the container's that are not the caller's
    int born_in = 0;     ///< those of them that the process was made in
    Fd root;             ///< the container's root when it shares the caller's mount namespace
    bool die_with_parent = false;
    bool no_new_keyring = false;
    std::optional<oci::LinuxPersonality> personality;
    std::optional<oci::LinuxMemoryPolicy> memory_policy;
};

constexpr std::array<std::string_view, 8> all_types{"user", "pid",    "network", "mount",
                                                    "ipc",  "cgroup", "uts",     "time"};

Result<int> namespaces_to_join(pid_t pid) {
    int flags = 0;
    for (const auto type : all_types) {
        const auto theirs = fmt::format("/proc/{}/ns/{}", pid, namespace_file(type));
        // A kernel without this kind has no file, for either of us.
        if (!TRY(is_own_namespace(type, theirs)).value_or(true)) flags |= namespace_flag(type);
    }
    return flags;
}

/// The process, between clone and execve.
class ExecChild {
public:
    ExecChild(ExecPlan& plan, Fd control) : plan_(plan), control_(std::move(control)) {}

    Error run() {
        const auto ready = prepare();
        if (!ready) return ready.error();
        const auto entered = enter();
        if (!entered) return entered.error();
        return execute(plan_.process);
    }
    FdView control() const { return control_; }

private:
    Result<void> prepare();
    Result<void> open_proc();
    Result<void> join();
    Result<void> take_terminal();
    Result<void> enter();

    ExecPlan& plan_;
    Fd control_;
    Fd proc_;  ///< only where labels are to be written
    Console console_;
};

/// In the container's pid namespace and not yet among its mounts: its own /proc is what it makes of
/// it.
Result<void> ExecChild::open_proc() {
    if (plan_.process.labels.empty()) return {};
    proc_ = TRY(private_proc().context("private procfs"));
    return {};
}

/// The groups while the host's files are visible; then all namespaces in one step, which the kernel
/// does in the right order and, if it cannot, not at all.
Result<void> ExecChild::join() {
    if (plan_.cgroup.valid()) TRY(plan_.cgroup.join_self());
    const auto affinity = plan_.process.process.exec_cpu_affinity.value_or(oci::ExecCpuAffinity{});
    if (affinity.initial.empty() && affinity.final.empty())
        forget_affinity();
    else
        TRY(set_affinity(affinity.final));
    if (plan_.process.seccomp) TRY(connect_listener(*plan_.process.seccomp));
    const int others = plan_.namespaces & ~plan_.born_in;
    if (others != 0)
        TRY(sys::enter_namespaces(plan_.container.fd(), others).context("join the container"));
    if (plan_.root && (::fchdir(plan_.root.raw()) < 0 || ::chroot(".") < 0))
        return fail_errno("enter the container's root");
    if ((plan_.namespaces & CLONE_NEWUSER) == 0) return {};
    if (::setgroups(0, nullptr) < 0 && errno != EPERM) return fail_errno("drop the groups");
    if (::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0)
        return fail_errno("become root of the user namespace");
    return {};
}

Result<void> ExecChild::take_terminal() {
    if (!plan_.process.process.terminal) return {};
    const Fd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
    console_ = TRY(open_console(root, plan_.process.process, plan_.process.stdio.keep_line_ends));
    if (::ioctl(console_.slave.raw(), TIOCSCTTY, 0) < 0) return fail_errno("controlling terminal");
    plan_.process.stdio = {console_.slave, console_.slave, console_.slave};
    return {};
}

Result<void> ExecChild::prepare() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // While it has the caller's rights and its files in /proc are still its user's.
    TRY(apply_oom_score("self", plan_.process.process));
    // Before we are in the container's pid namespace where others could look into us.
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return fail_errno("clear dumpable");
    sys::reset_signals();
    if (::setsid() < 0 && errno != EPERM) return fail_errno("setsid");
    TRY(open_proc());
    TRY(join());
    if (!plan_.no_new_keyring)
        TRY(labelled_session_keyring(proc_, plan_.process.labels, plan_.process.container.id));
    TRY(take_terminal());
    if (plan_.personality) TRY(apply_personality(*plan_.personality));
    if (plan_.memory_policy) TRY(apply_memory_policy(*plan_.memory_policy));
    TRY(apply_scheduling(plan_.process.process));
    TRY(enter_cwd(plan_.process));
    complete_environment(plan_.process);
    TRY(find_program(plan_.process));
    TRY(label_next_program(proc_, plan_.process.labels));
    proc_.reset();
    return {};
}

Result<void> ExecChild::enter() {
    std::vector<FdView> fds;
    if (console_.master) fds.emplace_back(console_.master);
    TRY(send(control_, Signal::ready, "", fds));
    const auto go = TRY(receive(control_));
    if (go.closed) return fail(ErrorKind::cancelled, "the caller gave up");
    TRY(learn_pid(plan_.process, go.payload));
    TRY(apply_stdio(plan_.process.stdio, plan_.process.process.user));
    std::vector<int> kept{control_.raw()};
    if (plan_.process.seccomp && plan_.process.seccomp->listener)
        kept.push_back(plan_.process.seccomp->listener.raw());
    TRY(seal_descriptors(plan_.process.preserve_fds, kept));
    TRY(apply_rlimits(plan_.process.rlimits));
    TRY(become_user(plan_.process));
    ::prctl(PR_SET_PDEATHSIG, plan_.die_with_parent ? SIGKILL : 0, 0, 0, 0);
    return {};
}

[[noreturn]] void run_child(ExecPlan& plan, Fd control) {
    ExecChild child(plan, std::move(control));
    const Error error = child.run();
    send(child.control(), Signal::error, pack(error)).ignore();  // nobody else to tell
    ::_exit(error.number() == ENOENT ? 127 : 126);
}

/// The caller runs on them while it makes the process, which has them from its birth on: it may be
/// born in the container's group, and they are for the time before.
class InitialProcessors {
public:
    Result<void> enter(const oci::Process& process) {
        if (!process.exec_cpu_affinity || process.exec_cpu_affinity->initial.empty()) return {};
        if (::sched_getaffinity(0, sizeof own_, &own_) < 0)
            return fail_errno("the caller's processors");
        TRY(set_affinity(process.exec_cpu_affinity->initial));
        away_ = true;
        return {};
    }
    ~InitialProcessors() {
        // Cannot fail but for processors that are gone, and then others do as well.
        if (away_) (void)::sched_setaffinity(0, sizeof own_, &own_);
    }

private:
    cpu_set_t own_{};
    bool away_ = false;
};

/// Only children enter a pid namespace: the caller steps in, clones and steps back. Who has no
/// rights over its own namespaces could not come back, and has those over the container's in its
/// user namespace.
Result<std::optional<sys::PidRef>> clone_into(ExecPlan& plan, FdView group) {
    const sys::CloneRequest request{.flags = 0, .cgroup = group};
    const bool may_return = is_host_root();
    plan.born_in = plan.namespaces & (may_return ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID);
    if (plan.born_in == 0) return sys::clone_process(request);
    if (!may_return) return clone_inside({{plan.container.fd(), plan.born_in}}, request);
    const Fd own = TRY(sys::open("/proc/self/ns/pid", O_RDONLY));
    TRY(sys::enter_namespaces(plan.container.fd(), CLONE_NEWPID));
    auto child = sys::clone_process(request);
    if (child && !*child) return child;
    auto returned = sys::enter_namespaces(own, CLONE_NEWPID);
    if (returned) return child;
    if (child) const sys::OwnedChild ended(std::move(**child));
    return std::move(returned).context("return to the caller's pid namespace").error();
}

Result<ExecPlan> make_exec_plan(ExecRequest& request, std::vector<std::string>& warnings) {
    ExecPlan plan;
    plan.process = TRY(plan_process(std::move(request.process), request.seccomp,
                                    request.seccomp_program, warnings));
    plan.process.stdio = request.stdio;
    plan.process.preserve_fds = request.preserve_fds;
    plan.process.container = std::move(request.state);
    plan.container = std::move(request.container);
    plan.die_with_parent = request.die_with_parent;
    plan.no_new_keyring = request.no_new_keyring;
    plan.personality = std::move(request.personality);
    plan.memory_policy = std::move(request.memory_policy);
    const auto pid = plan.container.pid();
    plan.cgroup = request.exact_cgroup ? request.cgroup : TRY(request.cgroup.beside(pid));
    plan.namespaces = TRY(namespaces_to_join(pid));
    if ((plan.namespaces & CLONE_NEWNS) == 0)
        plan.root = TRY(sys::open(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
    // The number could have been taken over while we looked: then what we saw was another's.
    if (plan.container.has_exited())
        return fail(ErrorKind::conflict, "the container is not running");
    return plan;
}

Result<void> follow(FdView channel, ExecProcess& out, Stopwatch& watch) {
    auto ready = TRY(receive(channel).context("exec process"));
    if (ready.closed) return fail(ErrorKind::io, "exec process ended before it was set up");
    if (ready.signal == Signal::error) return unpack(ready.payload);
    if (!ready.fds.empty()) out.console_master = std::move(ready.fds[0]);
    watch.lap("join the container");
    TRY(send(channel, Signal::go_on, fmt::to_string(out.child.process().pid())));
    const auto end = TRY(receive(channel).context("exec process"));
    watch.lap("run the program");
    if (end.closed) return {};  // closed by execve
    return unpack(end.payload);
}

}  // namespace

Result<ExecProcess> exec(ExecRequest request) {
    ExecProcess out;
    Stopwatch watch(out.timings);
    auto plan = TRY(make_exec_plan(request, out.warnings));
    watch.lap("plan");
    auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::seqpacket));
    const Fd group = TRY(plan.cgroup.open_for_clone());
    InitialProcessors processors;
    TRY(processors.enter(plan.process.process));
    auto cloned = clone_into(plan, group);
    if (!cloned && cloned.error().number() == EBUSY && group.valid())
        return fail(ErrorKind::conflict,
                    "adding pid of the process to cgroups {}/cgroup.procs: device or resource busy",
                    plan.cgroup.v2_directory());
    auto child = TRY(std::move(cloned).context("join the container"));
    if (!child) {
        ours.reset();
        if (group) plan.cgroup = cgroup::Group();  // it was born there
        run_child(plan, std::move(theirs));
    }
    theirs.reset();
    out.child = sys::OwnedChild(std::move(*child));
    watch.lap("clone");
    TRY(follow(ours, out, watch));
    return out;
}

}  // namespace corten::runtime
