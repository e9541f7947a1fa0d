#pragma once
// A control group of one container, on v1 (a directory per hierarchy) or v2 (one directory).
// A Group is a name, not an owner: dropping it removes nothing; remove() does.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_resources.hpp>
#include <sys/types.h>

#include <cgroup/layout.hpp>
#include <cgroup/stats.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::cgroup {

enum class FreezerState { thawed, freezing, frozen };
std::string_view to_string(FreezerState state);

/// Whether a group on a hybrid machine is made in the v2 hierarchy too, which has few controllers
/// or none there.
enum class OnHybrid { v1, both };

class Group {
public:
    Group() = default;

    /// Makes the group in every hierarchy. `path` is from the hierarchy's root when it begins with
    /// '/', else below the group this process is in. Missing parents are made, and stay.
    /// A directory that exists is taken over only when no process is in it and it is not frozen;
    /// otherwise the error is conflict. A failure removes what this call made.
    static Result<Group> create(const Layout& layout, std::string_view path,
                                OnHybrid halves = OnHybrid::v1);
    /// Names a group that exists, in whichever hierarchies have it (a daemon's adoption, `update`).
    /// On a hybrid machine the v2 directory is part of it where there is one.
    static Result<Group> open(const Layout& layout, std::string_view path);
    /// Names a group that somebody else made in some hierarchies, with processes in it (systemd's
    /// units), and makes it in the others. On v2 it gets the controllers that systemd does not
    /// know. A failure removes what this call made.
    static Result<Group> complete(const Layout& layout, std::string_view path);

    /// The group at `path` below this one, in the hierarchies of these v1 controllers or, without
    /// any, in all; in the others it stays this one. invalid when the path leads out or there is no
    /// such controller, not_found when a hierarchy has nothing there.
    Result<Group> below(const std::vector<std::string>& controllers, std::string_view path) const;

    /// conflict when a process is in it or it is frozen, in whichever hierarchy: nobody else may
    /// begin something there. create() looks by itself.
    Result<void> refuse_if_in_use() const;

    bool valid() const { return !directories_.empty(); }
    /// As it was given.
    const std::string& path() const { return path_; }
    /// Host paths, one per hierarchy ("/sys/fs/cgroup/memory/corten/web").
    std::vector<std::string> directories() const;
    /// The directory of this v1 controller, or of a pure v2 group; "" when there is none.
    std::string directory(std::string_view controller) const;
    /// The directory in the v2 hierarchy, also of a hybrid machine; "" when there is none.
    std::string v2_directory() const;
    /// {"memory": "/sys/fs/cgroup/memory/..."}; what is on v2 {"": "/sys/fs/cgroup/..."}.
    std::vector<std::pair<std::string, std::string>> controllers() const;

    /// Writes the limits that are set; others stay. Errors name the field and the file. A limit
    /// whose controller the machine lacks is unsupported and names the kernel option.
    Result<void> apply(const oci::LinuxResources& resources) const;
    /// The device rules alone (apply() contains this). On v2 an eBPF program replaces the last one.
    Result<void> apply_devices(const std::vector<oci::DeviceRule>& rules) const;

    /// Makes a user of the host the owner of the v2 directory and of the files that the kernel
    /// names for it (/sys/kernel/cgroup/delegate): it may make groups below and move processes
    /// between them, but not lift the limits of this one. unsupported without a v2 directory.
    Result<void> delegate_to(uid_t owner) const;
    /// Where another process can join one that is in this group or below: on v2 a group that hands
    /// controllers down takes none itself, and it is the group below in which the one is.
    Result<Group> beside(pid_t process) const;

    /// Moves the calling thread in: a single-threaded process moves as a whole. On v1 this is the
    /// cheap way (no global lock); on v2 prefer into() at clone time.
    Result<void> join_self() const;
    /// Moves a whole process in.
    Result<void> add(pid_t pid) const;
    /// Opens what CLONE_INTO_CGROUP wants. Invalid (and no error) unless this is a pure v2 machine.
    Result<Fd> open_for_clone() const;

    Result<void> freeze() const;
    Result<void> thaw() const;
    Result<FreezerState> freezer_state() const;

    /// Process ids in this group and below, as seen from the caller's pid namespace.
    Result<std::vector<pid_t>> processes() const;
    /// SIGKILL (or another signal) to all in it, until none is left or two seconds are over when
    /// the signal is SIGKILL. Thaws first, because a frozen v1 process cannot die.
    Result<void> kill_all(int signal = 9) const;

    Result<Stats> stats() const;
    /// How often the kernel killed in this group for lack of memory. 0 when it cannot be told.
    std::uint64_t oom_kills() const;
    /// Becomes readable (POLLIN for v1's eventfd, POLLPRI or POLLIN for v2) when a process was
    /// killed for lack of memory or the group is gone; read oom_kills() then. Unsupported without
    /// the memory controller.
    Result<Fd> watch_oom() const;
    /// Reads what made watch_oom()'s descriptor readable: how often memory ran out since, 0 when
    /// the group is gone. `kills` is what oom_kills() gave before, of which v2's answer is the
    /// difference; it is kept up to date there.
    std::uint64_t new_ooms(FdView watch, std::uint64_t& kills) const;

    /// rmdir in every hierarchy, sub-groups first; retries while the kernel says busy, for up to
    /// `patience`. A group that is already gone is fine.
    Result<void> remove(std::chrono::milliseconds patience = std::chrono::seconds(2)) const;

private:
    struct Directory {
        std::string path;
        std::vector<std::string> controllers;
        bool v2 = false;
    };
    friend class GroupBuilder;
    std::string path_;
    std::vector<Directory> directories_;
    bool unified_ = false;
};

}  // namespace corten::cgroup
