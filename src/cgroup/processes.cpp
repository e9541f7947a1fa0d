// What concerns the processes of a group: joining, listing, freezing, killing.
#include "files.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <sys/file.hpp>

#include <cgroup/group.hpp>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <thread>

namespace corten::cgroup {
namespace {

/// Who else looks after a group (systemd) takes it away with its last process, while we look.
bool is_gone(const std::string& directory) {
    return ::access(directory.c_str(), F_OK) != 0;
}

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
constexpr auto freeze_patience = std::chrono::seconds(10);
constexpr auto kill_patience = std::chrono::seconds(2);

Result<void> collect(const std::string& directory, std::set<pid_t>& pids) {
    auto content = read_control(directory, "cgroup.procs");
    if (!content && content.error().number() == ENOENT) return {};  // removed meanwhile
    // A group of threads: their processes are listed by the group above that is none.
    if (!content && content.error().number() == EOPNOTSUPP) content = std::string();
    for (const auto& line : split(TRY(std::move(content)), '\n'))
        if (const auto pid = to_number(line)) pids.insert(static_cast<pid_t>(*pid));
    for (const auto& child : TRY(subgroups(directory))) TRY(collect(child, pids));
    return {};
}

Result<FreezerState> v1_state(const std::string& directory) {
    const auto text = TRY(read_control(directory, "freezer.state"));
    if (text == "FROZEN") return FreezerState::frozen;
    return text == "FREEZING" ? FreezerState::freezing : FreezerState::thawed;
}

Result<FreezerState> v2_state(const std::string& directory) {
    if (read_number(directory, "cgroup.freeze").value_or(0) == 0) return FreezerState::thawed;
    const auto events = read_flat_keyed(directory, "cgroup.events");
    const auto frozen = events.find("frozen");
    return frozen != events.end() && frozen->second == 1 ? FreezerState::frozen
                                                         : FreezerState::freezing;
}

}  // namespace

std::string_view to_string(FreezerState state) {
    switch (state) {
        case FreezerState::thawed:
            return "THAWED";
        case FreezerState::freezing:
            return "FREEZING";
        case FreezerState::frozen:
            return "FROZEN";
    }
    return "THAWED";
}

Result<void> Group::join_self() const {
    for (const auto& directory : directories_) {
        // v1's "tasks" with 0 moves one thread and spares the kernel its global fork lock, whose
        // first taker waits for a grace period of several milliseconds.
        const char* file = directory.v2 ? "cgroup.procs" : "tasks";
        TRY(write_control(directory.path, file, "0", "CONFIG_CGROUPS").context("join cgroup"));
    }
    return {};
}

Result<void> Group::add(pid_t pid) const {
    for (const auto& directory : directories_)
        TRY(write_control(directory.path, "cgroup.procs", fmt::to_string(pid), "CONFIG_CGROUPS"));
    return {};
}

Result<Fd> Group::open_for_clone() const {
    if (!unified_ || directories_.empty()) return Fd();
    return sys::open(directories_[0].path, O_PATH | O_DIRECTORY);
}

Result<FreezerState> Group::freezer_state() const {
    const auto directory = this->directory("freezer");
    if (directory.empty()) return FreezerState::thawed;
    return unified_ ? v2_state(directory) : v1_state(directory);
}

Result<void> Group::freeze() const {
    const auto directory = this->directory("freezer");
    if (directory.empty())
        return fail(ErrorKind::unsupported,
                    "pause needs the freezer controller (CONFIG_CGROUP_FREEZER)");
    const auto deadline = Clock::now() + freeze_patience;
    Rollback undo;
    undo.add([this] { thaw().ignore(); });
    for (auto pause = milliseconds(1);; pause = std::min(pause * 2, milliseconds(20))) {
        // v1 can get stuck in FREEZING when a process forks meanwhile: writing again helps.
        TRY(unified_
                ? write_control(directory, "cgroup.freeze", "1", "Linux 5.2")
                : write_control(directory, "freezer.state", "FROZEN", "CONFIG_CGROUP_FREEZER"));
        if (TRY(freezer_state()) == FreezerState::frozen) break;
        if (Clock::now() >= deadline)
            return fail(ErrorKind::conflict, "cgroup {} did not freeze within {} seconds", path_,
                        freeze_patience.count());
        std::this_thread::sleep_for(pause);
    }
    undo.commit();
    return {};
}

Result<void> Group::thaw() const {
    const auto directory = this->directory("freezer");
    if (directory.empty()) return {};
    auto done = unified_
                    ? write_control(directory, "cgroup.freeze", "0", "Linux 5.2")
                    : write_control(directory, "freezer.state", "THAWED", "CONFIG_CGROUP_FREEZER");
    if (!done && is_gone(directory)) return {};
    return done;
}

Result<std::vector<pid_t>> Group::processes() const {
    std::set<pid_t> pids;
    if (directories_.empty()) return std::vector<pid_t>();
    // Any hierarchy would do; the freezer's (or the first) has sub-groups only if the container
    // made them.
    auto directory = this->directory("freezer");
    if (directory.empty()) directory = directories_[0].path;
    TRY(collect(directory, pids));
    return std::vector<pid_t>(pids.begin(), pids.end());
}

namespace {

Result<void> signal_until_empty(const Group& group, int signal) {
    const auto deadline = Clock::now() + kill_patience;
    const auto v2 = group.directory("");
    if (signal == SIGKILL && !v2.empty() && has_control(v2, "cgroup.kill"))
        TRY(write_control(v2, "cgroup.kill", "1", "Linux 5.14"));
    for (auto pause = milliseconds(1);; pause = std::min(pause * 2, milliseconds(50))) {
        const auto pids = TRY(group.processes());
        if (pids.empty()) return {};
        // Frozen while they are signalled, so that none forks away; a frozen one dies on thaw.
        const bool frozen = signal == SIGKILL && pids.size() > 1 && group.freeze().has_value();
        for (const pid_t pid : frozen ? TRY(group.processes()) : pids) ::kill(pid, signal);
        if (signal != SIGKILL) return {};
        TRY(group.thaw());
        if (Clock::now() >= deadline)
            return fail(ErrorKind::conflict, "cgroup {}: process {} does not die", group.path(),
                        pids[0]);
        std::this_thread::sleep_for(pause);
    }
}

}  // namespace

Result<void> Group::kill_all(int signal) const {
    auto done = signal_until_empty(*this, signal);
    if (!done && is_gone(directories_[0].path)) return {};
    return done;
}

}  // namespace corten::cgroup
