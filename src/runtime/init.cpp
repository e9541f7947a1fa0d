// The container's first process, between clone and execve. It is a copy of the caller that was
// born in the new namespaces, and ends in the container's root with nothing of the host open.
#include "init.hpp"

#include "channel.hpp"
#include "kernel_settings.hpp"
#include "root.hpp"
#include "rootfs.hpp"
#include "seccomp_load.hpp"

#include <runtime/hooks.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/prctl.h>
#include <sys/socket.h>
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

using Clock = std::chrono::steady_clock;

class Init {
public:
    Init(LaunchPlan& plan, Fd control) : plan_(plan), control_(std::move(control)) {}

    /// Ends with the error to report, or not at all.
    Error run() {
        const auto result = prepare();
        if (!result) {
            take_root_away();
            return result.error();
        }
        const auto started = wait_and_enter();
        if (!started) return started.error();
        return execute(plan_.process);
    }
    FdView error_channel() const { return start_ ? FdView(start_) : FdView(control_); }
    bool by_socket() const { return start_.valid(); }

private:
    Result<void> prepare();
    Result<void> enter_namespaces();
    Result<void> become_mapped_root();
    Result<void> join_cgroup();
    Result<void> build_tree();
    Result<void> perform_mounts();
    Result<void> hooks_before_pivot();
    Result<void> settle_in_root();
    void take_root_away() const;
    Result<void> report_ready();
    Result<void> wait_and_enter();
    Result<void> wait_for_start();
    Result<void> wait_for_starter();
    Result<void> ask(Signal question);
    Result<void> keep_only_needed_descriptors();
    void lap(const char* phase) {
        const auto now = Clock::now();
        timings_ += fmt::format("{} {}\n", phase, (now - last_).count());
        last_ = now;
    }

    LaunchPlan& plan_;
    Fd control_;
    Fd start_;
    Fd root_;
    Fd proc_;
    Console console_;
    bool root_changed_ = false;
    std::string timings_;
    Clock::time_point last_ = Clock::now();
};

Result<void> Init::prepare() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    sys::reset_signals();  // what the caller did with them is not the container's business
    TRY(enter_namespaces());
    lap("namespaces");
    // Nobody in a pid namespace that we share may look into our memory, in which the host's paths
    // and descriptors still are (CVE-2016-9962).
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return fail_errno("clear dumpable");
    if (::setsid() < 0 && errno != EPERM) return fail_errno("setsid");
    TRY(build_tree());
    TRY(settle_in_root());
    TRY(keep_only_needed_descriptors());
    // Before the caller knows: the signal would also come when it ends as it should. From here on
    // the channel's end tells.
    if (plan_.start_listener || !plan_.die_with_parent) ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    return report_ready();
}

/// The caller's answer; its end of the channel closing means that it is gone.
Result<void> Init::ask(Signal question) {
    TRY(send(control_, question));
    const auto answer = TRY(receive(control_));
    if (answer.closed || answer.signal != Signal::go_on)
        return fail(ErrorKind::cancelled, "the caller gave up");
    return {};
}

Result<void> Init::become_mapped_root() {
    // EPERM: setgroups is off in a namespace that an ordinary user made.
    if (::setgroups(0, nullptr) < 0 && errno != EPERM) return fail_errno("drop the groups");
    if (::setresgid(0, 0, 0) < 0) return fail_errno("become group 0 of the user namespace");
    if (::setresuid(0, 0, 0) < 0) return fail_errno("become root of the user namespace");
    return {};
}

Result<void> Init::join_cgroup() {
    if (!plan_.cgroup.valid() || plan_.born_in_cgroup) return {};
    return plan_.cgroup.join_self();
}

/// From here on in the container's namespaces, but for mount: that is a copy of the caller's. The
/// groups come first: they are the host's files, and a cgroup namespace is rooted where one is.
Result<void> Init::enter_namespaces() {
    TRY(join_cgroup());
    forget_affinity();
    lap("join cgroup");
    if (plan_.needs_id_maps) TRY(ask(Signal::map_ids));
    for (const auto& joined : plan_.namespaces.joined) {
        if (joined.flag == CLONE_NEWPID) continue;  // the caller did, for its children
        if (joined.flag == CLONE_NEWUSER && plan_.namespaces.born_in_user) continue;
        if (plan_.needs_id_maps && joined.flag != CLONE_NEWNS) continue;  // likewise
        TRY(sys::enter_namespaces(joined.fd, joined.flag)
                .context(fmt::format("join the {} namespace", joined.type)));
    }
    // With all rights in the user namespace, and its own files in /proc not yet out of reach: a
    // change of user puts them there.
    if (plan_.namespaces.makes(CLONE_NEWTIME))
        TRY(enter_time_namespace(plan_.spec.linux_section.time_offsets));
    if (plan_.needs_id_maps) TRY(become_mapped_root());
    // Whoever set up the one that is joined need not have mapped a root.
    if (plan_.namespaces.joins(CLONE_NEWUSER) != nullptr && ::setresgid(0, 0, 0) == 0 &&
        ::setresuid(0, 0, 0) < 0)
        return fail_errno("become root of the user namespace");
    if (plan_.namespaces.makes(CLONE_NEWCGROUP))
        TRY(sys::unshare_namespaces(CLONE_NEWCGROUP).context("new cgroup namespace"));
    if (plan_.namespaces.makes(CLONE_NEWNET)) TRY(bring_up_loopback());
    proc_ = TRY(private_proc().context("private procfs"));
    if (plan_.no_new_keyring) return {};
    return labelled_session_keyring(proc_, plan_.process.labels, plan_.id);
}

Result<void> Init::perform_mounts() {
    for (auto& mount : plan_.mounts) {
        TRY(perform_mount(root_, mount, plan_).context(mount.field));
    }
    lap("mounts");
    return {};
}

Result<void> Init::hooks_before_pivot() {
    if (plan_.has_hooks_before_pivot()) TRY(ask(Signal::run_hooks));
    if (!plan_.spec.hooks) return {};
    // These find the container's root where they start.
    if (::fchdir(root_.raw()) < 0) return fail_errno("enter the root");
    return run_hooks(plan_.spec.hooks->create_container, "createContainer",
                     plan_.state("creating", ::getpid()));
}

/// In the new mount namespace, with the host's tree still around.
Result<void> Init::build_tree() {
    root_ = TRY(attach_root(plan_));
    lap("root");
    TRY(perform_mounts());
    const bool isolated = plan_.namespaces.own(CLONE_NEWNS);
    if (isolated) TRY(make_devices(root_, plan_));
    lap("devices");
    if (!plan_.spec.linux_section.masked_paths.empty()) plan_.null_mount = TRY(null_mount());
    if (plan_.process.process.terminal) {
        console_ =
            TRY(open_console(root_, plan_.process.process, plan_.process.stdio.keep_line_ends));
        if (isolated) TRY(bind_console(root_, console_));
    }
    // Made here, because the root may be read-only later. The directory is looked up again then.
    TRY(open_or_make(root_, plan_.process.process.cwd, Target::directory)
            .context(fmt::format("process.cwd: {}", plan_.process.process.cwd)));
    if (plan_.process.seccomp) TRY(connect_listener(*plan_.process.seccomp));
    TRY(hooks_before_pivot());
    TRY(change_root(root_, plan_));
    root_changed_ = true;
    lap("change root");
    return {};
}

/// After a failure. A mount namespace of our own ends with us; one that was joined, and the host's,
/// keep what is in them. The error before this one is the one to tell.
void Init::take_root_away() const {
    const bool stays = plan_.namespaces.joins(CLONE_NEWNS) != nullptr || plan_.mounts_on_host();
    if (!stays || !root_ || root_changed_) return;
    if (::fchdir(root_.raw()) == 0) sys::unmount_at(".", MNT_DETACH).ignore();
}

/// In the container's root; the host's tree is gone.
Result<void> Init::settle_in_root() {
    const auto& section = plan_.spec.linux_section;
    TRY(finish_root(root_, plan_));
    if (plan_.namespaces.own(CLONE_NEWUTS)) TRY(apply_names(plan_.spec));
    TRY(apply_sysctl(proc_, section.sysctl));
    TRY(protect_paths(root_, plan_));
    lap("protect paths");
    if (section.personality) TRY(apply_personality(*section.personality));
    if (section.memory_policy) TRY(apply_memory_policy(*section.memory_policy));
    TRY(apply_scheduling(plan_.process.process));
    if (console_.slave) {
        plan_.process.stdio = {console_.slave, console_.slave, console_.slave};
        if (::ioctl(console_.slave.raw(), TIOCSCTTY, 0) < 0)
            return fail_errno("controlling terminal");
    }
    TRY(enter_cwd(plan_.process));
    complete_environment(plan_.process);
    TRY(find_program(plan_.process));
    // The last thing that needs the procfs, which is not kept while the container waits. No program
    // runs between here and the container's but its startContainer hooks, which are its own.
    TRY(label_next_program(proc_, plan_.process.labels));
    lap("program");
    return {};
}

/// While the container waits for its start it already holds nothing else of the host's.
Result<void> Init::keep_only_needed_descriptors() {
    TRY(apply_stdio(plan_.process.stdio, plan_.process.process.user));
    std::vector<int> kept{control_.raw()};
    if (plan_.start_listener) kept.push_back(plan_.start_listener.raw());
    if (console_.master) kept.push_back(console_.master.raw());
    const auto& seccomp = plan_.process.seccomp;
    if (seccomp && seccomp->listener) kept.push_back(seccomp->listener.raw());
    TRY(seal_descriptors(plan_.process.preserve_fds, kept));
    // Closed by number: their owners must not close what takes these numbers next.
    for (Fd* closed : {&root_, &proc_, &console_.slave}) (void)closed->release();
    return {};
}

Result<void> Init::report_ready() {
    std::vector<FdView> fds;
    if (console_.master) fds.emplace_back(console_.master);
    TRY(send(control_, Signal::ready, timings_, fds));
    console_.master.reset();
    return {};
}

/// The first process of a pid namespace gets only signals that it handles, but until the program is
/// there, these shall end it. The handlers are gone with execve.
void end_at_signals() {
    struct ::sigaction action{};
    action.sa_handler = [](int signal) { ::_exit(128 + signal); };
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM})
        ::sigaction(signal, &action, nullptr);
}

Result<void> Init::wait_for_start() {
    end_at_signals();
    if (!plan_.start_listener) {
        const auto order = TRY(receive(control_));
        if (order.closed || order.signal != Signal::start)
            return fail(ErrorKind::cancelled, "the caller gave up");
        return learn_pid(plan_.process, order.payload);
    }
    const auto released = TRY(receive(control_));
    if (released.closed) return fail(ErrorKind::cancelled, "the caller gave up");
    TRY(learn_pid(plan_.process, released.payload));
    control_.reset();
    return wait_for_starter();
}

/// Who comes and goes without an order has failed, and another may come.
Result<void> Init::wait_for_starter() {
    while (!start_) {
        Fd starter = TRY(sys::accept(plan_.start_listener).context("wait for the start"));
        char order = 0;
        if (::read(starter.raw(), &order, 1) == 1 && order == static_cast<char>(Signal::start))
            start_ = std::move(starter);
    }
    return {};
}

/// The hooks that are programs of the image have, as in runc, the process' environment where they
/// name none: the runtime's is none of their business.
std::vector<oci::Hook> with_environment(std::vector<oci::Hook> hooks,
                                        const std::vector<std::string>& environment) {
    for (auto& hook : hooks)
        if (hook.env.empty()) hook.env = environment;
    return hooks;
}

Result<void> Init::wait_and_enter() {
    TRY(wait_for_start());
    TRY(apply_rlimits(plan_.process.rlimits));
    TRY(become_user(plan_.process));
    // As the user and under the filter: these hooks are programs of the image.
    if (plan_.spec.hooks)
        TRY(run_hooks(
            with_environment(plan_.spec.hooks->start_container, plan_.process.process.env),
            "startContainer", plan_.state("created", ::getpid())));
    // A change of user clears it.
    if (plan_.die_with_parent && !plan_.start_listener) ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return {};
}

}  // namespace

[[noreturn]] void run_init(LaunchPlan& plan, Fd control) {
    Init init(plan, std::move(control));
    const Error error = init.run();
    const auto payload = pack(error);
    // Nobody may be left to read it, and there is nothing else to do then.
    if (init.by_socket())
        sys::write_all(init.error_channel(), payload).ignore();
    else
        send(init.error_channel(), Signal::error, payload).ignore();
    ::_exit(error.number() == ENOENT ? 127 : 126);
}

}  // namespace corten::runtime
