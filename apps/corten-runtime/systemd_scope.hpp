#pragma once
// The systemd cgroup driver: a container's group is that of a transient scope, which systemd makes
// and takes away. cgroup v2 only.
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/process.hpp>

#include <string>

namespace corten::runtime_cli {

/// What linux.cgroupsPath, "slice:prefix:name", means.
struct ScopeName {
    std::string slice;   ///< "user-1000.slice"
    std::string unit;    ///< "prefix-name.scope"
    std::string cgroup;  ///< "/user.slice/user-1000.slice/prefix-name.scope"
};
/// An empty path is "system.slice:corten:ID". invalid when it is not of this form.
Result<ScopeName> scope_name(const std::string& cgroups_path, const std::string& id);

/// A scope that was made. A scope ends with its last process, so that until the container is there
/// a process of ours is in it: it ends when this does.
struct Scope {
    ScopeName name;
    sys::OwnedChild placeholder;
};
/// Starts the scope with the limits of the specification that systemd knows; the rest is for the
/// group's files. unsupported without systemd, not_built on cgroup v1.
Result<Scope> start_scope(const oci::Spec& spec, const std::string& id);

/// Tells systemd new limits, or it would write its old ones again some day.
Result<void> update_scope(const std::string& unit, const oci::LinuxResources& resources);
/// Ends the scope and waits until it is gone; one that is gone already is fine.
Result<void> stop_scope(const std::string& unit);

}  // namespace corten::runtime_cli
