#include "channel.hpp"
#include "clone_inside.hpp"
#include "delegation.hpp"
#include "id_map.hpp"
#include "init.hpp"
#include "kernel_settings.hpp"
#include "plan.hpp"
#include "stopwatch.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/container.hpp>
#include <runtime/group_limits.hpp>
#include <runtime/hooks.hpp>
#include <runtime/rights.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/socket.hpp>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime {
namespace {

/// Namespaces that the child could only join with rights it gives up by being born in a new user
/// namespace, and the pid namespace, which is only ever joined by children.
std::vector<const JoinedNamespace*> joined_before_birth(const NamespacePlan& plan) {
    std::vector<const JoinedNamespace*> found;
    for (const auto& joined : plan.joined) {
        const bool before_user_namespace = plan.makes(CLONE_NEWUSER) && joined.flag != CLONE_NEWNS;
        if (joined.flag == CLONE_NEWPID || before_user_namespace) found.push_back(&joined);
    }
    return found;
}

/// The caller steps in, clones, and steps back. It has one thread, so nobody else is taken along.
class CallerDetour {
public:
    Result<void> enter(const std::vector<const JoinedNamespace*>& namespaces) {
        for (const auto* joined : namespaces) {
            Fd own = TRY(
                sys::open(fmt::format("/proc/self/ns/{}", namespace_file(joined->type)), O_RDONLY));
            TRY(sys::enter_namespaces(joined->fd, joined->flag)
                    .context(fmt::format("join the {} namespace", joined->type)));
            back_.emplace_back(std::move(own), joined->flag);
        }
        return {};
    }
    Result<void> leave() {
        for (auto& [fd, flag] : back_) TRY(sys::enter_namespaces(fd, flag));
        back_.clear();
        return {};
    }
    ~CallerDetour() { leave().ignore(); }

private:
    std::vector<std::pair<Fd, int>> back_;
};

Result<void> run_runtime_hooks(const LaunchPlan& plan, pid_t pid) {
    if (!plan.spec.hooks) return {};
    const auto state = plan.state("creating", pid);
    TRY(run_hooks(plan.spec.hooks->prestart, "prestart", state));
    return run_hooks(plan.spec.hooks->create_runtime, "createRuntime", state);
}

void add_child_timings(std::string_view text, std::vector<Timing>& timings) {
    for (const auto& line : split(text, '\n')) {
        const auto space = line.rfind(' ');
        if (space == std::string::npos) continue;
        const auto ns = parse_integer(std::string_view(line).substr(space + 1), "time").value_or(0);
        timings.push_back({"init: " + line.substr(0, space), std::chrono::nanoseconds(ns)});
    }
}

/// Other than which devices may be used.
bool sets_limits(const oci::Spec& spec) {
    auto limits = spec.linux_section.resources.value_or(oci::LinuxResources{});
    limits.devices.clear();
    return to_json(limits) != to_json(oci::LinuxResources{});
}

class Launcher {
public:
    Launcher(LaunchPlan plan, Created& created)
        : plan_(std::move(plan)), created_(created), watch_(created.timings) {}

    Result<Fd> run(const MakeGroup& make_given) {
        TRY(prepare_cgroup(make_given));
        watch_.lap("cgroup");
        auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::seqpacket));
        TRY(clone(ours, theirs));
        theirs.reset();
        watch_.lap("clone");
        if (!plan_.needs_id_maps) TRY(apply_oom_score());
        TRY(converse(ours));
        watch_.lap("wait for init");
        TRY(keep_namespaces());
        // Later than it has joined: of a group of its own it may not be let in from outside.
        TRY(delegate_group(plan_).context("cgroup"));
        undo_.commit();
        created_.mounts_on_host = plan_.mounts_on_host();
        created_.warnings = std::move(plan_.warnings);
        return std::move(ours);
    }

private:
    Result<void> prepare_cgroup(const MakeGroup& make_given);
    Result<void> make_cgroup();
    Result<void> make_optional_cgroup();
    Result<void> clone(Fd& ours, Fd& theirs);
    Result<void> apply_oom_score();
    Result<void> converse(FdView channel);
    Result<void> answer(FdView channel, const Received& message);
    Result<void> keep_namespaces();

    LaunchPlan plan_;
    Created& created_;
    Stopwatch watch_;
    Rollback undo_;
};

Result<void> Launcher::make_cgroup() {
    auto group = TRY(cgroup::Group::create(
        plan_.cgroup_layout, plan_.spec.linux_section.cgroups_path, halves_for(plan_.spec)));
    undo_.add([group] { group.remove().ignore(); });
    plan_.cgroup = std::move(group);
    return {};
}

/// Without the right to one an ordinary user's container has none, and so no limits.
Result<void> Launcher::make_optional_cgroup() {
    auto made = make_cgroup();
    if (made || !lacks_rights(made.error())) return made;
    plan_.warnings.push_back(made.error().message() + ", ignoring");
    if (sets_limits(plan_.spec))
        plan_.warnings.push_back(
            "linux.resources: limits need a cgroup (linux.cgroupsPath), ignoring");
    return {};
}

Result<void> Launcher::prepare_cgroup(const MakeGroup& make_given) {
    plan_.cgroup_layout = TRY(cgroup::Layout::detect());
    if (make_given)
        plan_.cgroup = TRY(make_given());
    else if (!plan_.spec.linux_section.cgroups_path.empty())
        TRY((plan_.optional_cgroup ? make_optional_cgroup() : make_cgroup()).context("cgroup"));
    created_.cgroup = plan_.cgroup;
    if (!plan_.cgroup.valid()) return {};
    return apply_resources(plan_.cgroup, plan_.spec, plan_.warnings).context("cgroup");
}

Result<void> Launcher::clone(Fd& ours, Fd& theirs) {
    // Cgroup namespaces are made by the process once it is in its group, and time namespaces once
    // their offsets are known.
    constexpr std::uint64_t later = CLONE_NEWCGROUP | CLONE_NEWTIME;
    const Fd group = TRY(plan_.cgroup.open_for_clone());
    const std::uint64_t flags = plan_.namespaces.created & ~later;
    const auto before_birth = joined_before_birth(plan_.namespaces);
    // Who has no rights over its own namespaces cannot come back to them.
    const bool may_return = is_host_root();
    const bool in_user = flags != 0 || (!may_return && !before_birth.empty());
    const auto* user = in_user ? plan_.namespaces.joins(CLONE_NEWUSER) : nullptr;
    plan_.namespaces.born_in_user = user != nullptr;
    CallerDetour detour;
    std::vector<Birthplace> places;
    if (user != nullptr) places.push_back({user->fd, CLONE_NEWUSER});
    if (may_return)
        TRY(detour.enter(before_birth));
    else
        for (const auto* joined : before_birth) places.push_back({joined->fd, joined->flag});
    const sys::CloneRequest request{.flags = flags, .cgroup = group};
    auto child = places.empty()
                     ? sys::clone_process(request)
                     : clone_inside(places, request).context("join the namespaces of another");
    if (child && !*child) {
        ours.reset();
        plan_.born_in_cgroup = group.valid();
        run_init(plan_, std::move(theirs));
    }
    if (child) created_.init = sys::OwnedChild(std::move(**child));
    TRY(detour.leave().context("return to the caller's namespaces"));
    TRY(std::move(child));
    // Before the cgroup's removal: a group with a process in it cannot go.
    undo_.add([this] { created_.init = sys::OwnedChild(); });
    return {};
}

/// Only root may lower it, so the caller writes it, not the process in its user namespace.
Result<void> Launcher::apply_oom_score() {
    return runtime::apply_oom_score(fmt::to_string(created_.init.process().pid()),
                                    plan_.process.process);
}

Result<void> Launcher::answer(FdView channel, const Received& message) {
    const auto pid = created_.init.process().pid();
    const auto& section = plan_.spec.linux_section;
    if (message.signal == Signal::map_ids) {
        TRY(write_id_maps(pid, section.uid_mappings, section.gid_mappings));
        TRY(apply_oom_score());  // while its files in /proc are still an ordinary user's
    } else {
        TRY(run_runtime_hooks(plan_, pid));
    }
    return send(channel, Signal::go_on);
}

/// Until the process is ready or has failed.
Result<void> Launcher::converse(FdView channel) {
    for (;;) {
        auto message = TRY(receive(channel).context("container process"));
        if (message.closed) {
            const auto status = TRY(created_.init.wait());
            return fail(ErrorKind::io, "container process ended before it was set up, status {}{}",
                        status.code, status.code == 137 ? " (out of memory?)" : "");
        }
        switch (message.signal) {
            case Signal::error:
                return unpack(message.payload);
            case Signal::warning:
                plan_.warnings.push_back(std::move(message.payload));
                break;
            case Signal::ready:
                add_child_timings(message.payload, created_.timings);
                if (!message.fds.empty()) created_.console_master = std::move(message.fds[0]);
                return {};
            default:
                TRY(answer(channel, message));
        }
    }
}

Result<void> Launcher::keep_namespaces() {
    const auto keep = [&](int flag, const char* file, Fd& out) -> Result<void> {
        if (!plan_.namespaces.own(static_cast<std::uint64_t>(flag))) return {};
        auto fd =
            sys::open(fmt::format("/proc/{}/ns/{}", created_.init.process().pid(), file), O_RDONLY);
        // The process cannot be looked into by an ordinary user, who does without.
        if (!fd && ::geteuid() != 0 && fd.error().number() == EACCES) return {};
        out = TRY(std::move(fd));
        return {};
    };
    TRY(keep(CLONE_NEWNS, "mnt", created_.mount_ns));
    return keep(CLONE_NEWNET, "net", created_.net_ns);
}

}  // namespace

Result<Created> create(LaunchRequest request) {
    Created created;
    Stopwatch watch(created.timings);
    const auto make_given = std::move(request.make_cgroup);
    auto plan = TRY(make_plan(std::move(request)));
    watch.lap("plan");
    created.control_ = TRY(Launcher(std::move(plan), created).run(make_given));
    return created;
}

Result<void> Created::start() {
    TRY(send(control_, Signal::start, fmt::to_string(init.process().pid())));
    const auto message = TRY(receive(control_).context("container process"));
    control_.reset();
    if (message.closed) return {};  // closed by execve
    return unpack(message.payload);
}

Result<void> Created::release() {
    TRY(send(control_, Signal::go_on, fmt::to_string(init.process().pid())));
    control_.reset();
    return {};
}

Result<void> start_by_socket(FdView socket) {
    const char order = static_cast<char>(Signal::start);
    TRY(sys::write_all(socket, std::string_view(&order, 1)).context("container process"));
    auto read = sys::read_all(socket, 64 << 10);
    // Never accepted: the listener was closed by the execve that another's order led to.
    if (!read && read.error().number() == ECONNRESET)
        return fail(ErrorKind::conflict, "the container has been started meanwhile");
    const auto answer = TRY(std::move(read));
    if (answer.empty()) return {};
    return unpack(answer);
}

}  // namespace corten::runtime
