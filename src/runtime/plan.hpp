#pragma once
// A LaunchRequest taken apart in the caller, before the clone: everything that can be wrong with
// the configuration is found here, and the new process only carries out.
#include "mount_options.hpp"
#include "process_plan.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <runtime/container.hpp>

#include <cgroup/group.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::runtime {

struct JoinedNamespace {
    std::string type;
    int flag = 0;  ///< CLONE_NEW*
    Fd fd;
};

struct NamespacePlan {
    std::uint64_t created = 0;  ///< CLONE_NEW* of new ones
    std::vector<JoinedNamespace> joined;
    bool born_in_user = false;  ///< the process was made in the user namespace that it joins
    bool makes(std::uint64_t flag) const { return (created & flag) != 0; }
    const JoinedNamespace* joins(int flag) const;
    /// New or joined: not the caller's.
    bool own(std::uint64_t flag) const;
};

struct MountPlan {
    std::string field;  ///< "mounts[3]"
    std::string type;
    std::string source;
    std::string destination;
    MountOptions options;
    Fd source_object;              ///< bind: what is copied, where the caller has it open
    Fd tree;                       ///< bind: the detached copy, opened by the caller
    bool directory = true;         ///< what the target must be
    bool read_only_later = false;  ///< /dev, in which there is still something to be made
    Fd id_map;                     ///< user namespace that maps this mount's ids
    std::string link;              ///< copy-symlink: the target of the link
};

struct LaunchPlan {
    oci::Spec spec;  ///< without process, which is in `process`
    std::string id;
    std::string bundle;
    std::string root_path;  ///< absolute
    Fd root_mount;
    NamespacePlan namespaces;
    std::vector<MountPlan> mounts;
    ProcessPlan process;
    cgroup::Layout cgroup_layout;
    cgroup::Group cgroup;
    bool born_in_cgroup = false;  ///< the process was made in its group
    Fd start_listener;
    Fd null_mount;  ///< made by the process: a detached, read-only mount of the host's /dev/null
    bool die_with_parent = false;
    bool no_pivot = false;
    bool no_new_keyring = false;
    bool optional_cgroup = false;
    bool needs_id_maps = false;
    std::vector<std::string> warnings;

    /// What hooks and seccomp listeners are told of the container.
    oci::State state(std::string_view status, pid_t pid) const;
    bool has_hooks_before_pivot() const;
    /// There is something to mount and only the caller's namespace to do it in.
    bool mounts_on_host() const;
};

Result<LaunchPlan> make_plan(LaunchRequest request);

/// By name, before anything is made for it: a mount over /proc or below it other than the kernel's
/// own could show the runtime and the container different files under the same name
/// (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561).
Result<void> check_destination(const MountPlan& mount);

/// Opens a bind mount's source as a detached copy of its mount, or reads the link to copy.
Result<void> open_bind_source(MountPlan& plan, const std::string& bundle);
/// Maps the ids of a bind mount's tree, once.
Result<void> apply_id_map(MountPlan& mount);

/// CLONE_NEW* of "pid", "network", ...; 0 when it is not a namespace.
int namespace_flag(std::string_view type);
/// "pid" -> "pid", "network" -> "net": the names in /proc/PID/ns.
std::string namespace_file(std::string_view type);
/// Whether `path` is the namespace of this type that the caller is in; nullopt when there is none
/// at the path, or the kernel has none of the type.
Result<std::optional<bool>> is_own_namespace(std::string_view type, const std::string& path);

}  // namespace corten::runtime
