#pragma once
// The systemd cgroup driver: a container's group is that of a transient unit, which systemd makes
// and takes away. On cgroup v1 systemd makes it in the hierarchies that it knows; the others are
// for Group::complete(). An ordinary user's units are of the user's own systemd, on cgroup v2 only.
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

#include <string>

namespace corten::runtime_cli {

/// What linux.cgroupsPath, "slice:prefix:name", means.
struct UnitName {
    std::string slice;  ///< "user-1000.slice"
    std::string unit;   ///< "prefix-name.scope"; a name that ends in ".slice" is one itself
    std::string place;  ///< "/user.slice/user-1000.slice/prefix-name.scope"
    bool is_slice() const;
};
/// An empty path is ":corten:ID", an empty slice system.slice, or user.slice of an ordinary user's
/// systemd. invalid when it is not of this form.
Result<UnitName> unit_name(const std::string& cgroups_path, const std::string& id);
/// The group of such a unit, from the hierarchy's root: its place below the group of an ordinary
/// user's systemd, which is asked for it, or the place alone.
Result<std::string> unit_cgroup(const UnitName& name);

/// A unit that was made. A scope ends with its last process, so that until the container is there
/// a process of ours is in it: it ends when this does. A slice stays until it is stopped.
struct Unit {
    UnitName name;
    std::string cgroup;  ///< see unit_cgroup()
    sys::OwnedChild placeholder;
};
/// Starts the unit, and slices above it that are not there, with the limits of the specification
/// that systemd knows, but for blockIO: that is for update_unit(), once there is a group; the rest
/// is for the group's files. Does what join_manager() does. unsupported without systemd.
Result<Unit> start_unit(const oci::Spec& spec, const std::string& id);

/// Tells systemd new limits, or it would write its old ones again some day. `group` is the unit's.
Result<void> update_unit(const std::string& unit, const oci::LinuxResources& resources,
                         const cgroup::Group& group);
/// Moves this process below an ordinary user's systemd, unless it is there: only from there it can
/// bring processes into the groups of that systemd's units. It stays there.
Result<void> join_manager();
/// Ends the unit and waits until it is gone; one that is gone already is fine.
Result<void> stop_unit(const std::string& unit);

}  // namespace corten::runtime_cli
