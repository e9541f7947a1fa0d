#pragma once
// The state directory: <root>/<id>/ with state.json, the configuration as it was, and, as long as
// the container waits for its start, the socket on which it waits.
#include "options.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::runtime_cli {

/// What is stored.
struct Record {
    std::string oci_version;
    std::string id;
    std::int32_t pid = 0;
    std::uint64_t pid_start_time = 0;  ///< in clock ticks since boot: tells a reused number
    std::string bundle;
    std::string rootfs;
    std::string created;  ///< RFC 3339
    std::string owner;
    std::string cgroup_path;
    std::string systemd_unit;     ///< the scope or slice that the cgroup is of, if systemd made it
    bool no_new_keyring = false;  ///< its processes keep the session keyring of who starts them
    bool mounts_on_host = false;  ///< a mount on rootfs that is to go with the container
    std::map<std::string, std::string> annotations;
    static constexpr void fields(auto visit) {
        visit(field("ociVersion", &Record::oci_version), field("id", &Record::id),
              field("pid", &Record::pid), field("pidStartTime", &Record::pid_start_time),
              field("bundle", &Record::bundle), field("rootfs", &Record::rootfs),
              field("created", &Record::created), field("owner", &Record::owner),
              field("cgroupPath", &Record::cgroup_path),
              omit_empty("systemdUnit", &Record::systemd_unit),
              omit_empty("noNewKeyring", &Record::no_new_keyring),
              omit_empty("mountsOnHost", &Record::mounts_on_host),
              field("annotations", &Record::annotations));
    }
};

/// What of a container is on the host, beside its record and for whoever cannot read that: written
/// before the first of it is made.
struct Traces {
    std::string cgroup_path;   ///< made, or about to be
    std::string systemd_unit;  ///< whose group that is
    std::int32_t pid = 0;      ///< 0 as long as there is no process, nor a group with one in it
    std::uint64_t pid_start_time = 0;
    std::string mounted_root;  ///< the root directory, if it is a mount of the host
    static constexpr void fields(auto visit) {
        visit(omit_empty("cgroupPath", &Traces::cgroup_path),
              omit_empty("systemdUnit", &Traces::systemd_unit), omit_empty("pid", &Traces::pid),
              omit_empty("pidStartTime", &Traces::pid_start_time),
              omit_empty("mountedRoot", &Traces::mounted_root));
    }
};

enum class Status { creating, created, running, paused, stopped };
std::string_view to_string(Status status);

/// Letters, digits and "_+-.", as the directory's name and in messages.
Result<void> check_id(std::string_view id);

std::string default_root();
/// The mount on a container's root, and all below it, of one without a mount namespace.
Result<void> take_mounts_away(const std::string& root);

class Container {
public:
    /// not_found: "container does not exist".
    static Result<Container> load(const Global& global, const std::string& id);
    static Result<std::vector<std::string>> ids(const Global& global);

    const Record& record() const { return record_; }
    const std::string& directory() const { return directory_; }
    std::string start_socket() const { return directory_ + "/start.sock"; }

    /// An error when it cannot be told: what may be running is not called stopped.
    Result<Status> status() const;
    Result<bool> is_alive() const;
    /// Its process listens for its start. Asked by a connection without an order.
    Result<bool> awaits_start() const;
    /// not_found once it has exited, also when its number is another process' by now.
    Result<sys::PidRef> process() const;
    /// Invalid (and no error) when the container has none, or it is gone.
    Result<cgroup::Group> cgroup() const;
    /// Whether one was made. systemd takes a scope away with its last process.
    bool had_cgroup() const { return !record_.cgroup_path.empty(); }
    Result<oci::Spec> spec() const;
    Result<void> save_spec(const oci::Spec& spec) const;
    Result<oci::State> state() const;
    /// For who knows its status.
    oci::State state_as(Status status) const;

    /// Kills what is left, removes the groups and the directory, runs the poststop hooks.
    Result<void> destroy() const;
    /// The same for whoever has the hooks at hand.
    Result<void> destroy(const std::vector<oci::Hook>& poststop) const;

private:
    friend class Creation;
    Record record_;
    std::string directory_;
};

/// The directory of a container in the making, with the configuration's text: locked as long as
/// this lives, and removed again unless it is kept.
class Creation {
public:
    /// conflict when the id is taken. What a maker that died left under this id is removed first.
    static Result<Creation> begin(const Global& global, const std::string& id,
                                  std::string_view configuration);
    Creation(Creation&& other) noexcept
        : container_(std::move(other.container_)),
          lock_(std::move(other.lock_)),
          kept_(std::exchange(other.kept_, true)) {}
    ~Creation();
    const std::string& directory() const { return container_.directory_; }
    std::string start_socket() const { return container_.start_socket(); }
    /// Before anything is made on the host.
    Result<void> announce(const Traces& traces);
    /// Writes the record; from here on others see the container.
    Result<Container> publish(Record record);
    /// It stays. The last step: whatever can fail comes before.
    void keep() { kept_ = true; }

private:
    Creation() = default;
    Container container_;
    Fd lock_;
    bool kept_ = false;
};

/// Removes a directory without a (readable) record, and what its container has on the host.
/// not_found when there is no directory, conflict while the container is being made. When it cannot
/// be told what there is the directory stays, and that is the error.
Result<void> remove_half_made(const Global& global, const std::string& id);

/// The start time of a process, field 22 of /proc/PID/stat. 0 when it is gone or a zombie.
Result<std::uint64_t> process_start_time(pid_t pid);
/// The same of the file's text.
Result<std::uint64_t> start_time_in(std::string_view stat);

/// An empty path is none.
Result<void> write_pid_file(const std::string& path, pid_t pid);
/// After a failure; that comes first, so this one's is not told.
void remove_pid_file(const std::string& path);

}  // namespace corten::runtime_cli
