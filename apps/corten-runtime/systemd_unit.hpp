#pragma once
// The systemd cgroup driver: a container's group is that of a transient unit, which systemd makes
// and takes away. On cgroup v1 systemd makes it in the hierarchies that it knows; the others are
// for Group::complete().
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/process.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace corten::runtime_cli {

/// What linux.cgroupsPath, "slice:prefix:name", means.
struct UnitName {
    std::string slice;   ///< "user-1000.slice"
    std::string unit;    ///< "prefix-name.scope"; a name that ends in ".slice" is one itself
    std::string cgroup;  ///< "/user.slice/user-1000.slice/prefix-name.scope"
    bool is_slice() const;
};
/// An empty path is ":corten:ID", an empty slice system.slice, or user.slice for who is not root.
/// invalid when it is not of this form.
Result<UnitName> unit_name(const std::string& cgroups_path, const std::string& id);

/// A unit that was made. A scope ends with its last process, so that until the container is there
/// a process of ours is in it: it ends when this does. A slice stays until it is stopped.
struct Unit {
    UnitName name;
    sys::OwnedChild placeholder;
};
/// Starts the unit, and slices above it that are not there, with the limits of the specification
/// that systemd knows; the rest is for the group's files. unsupported without systemd.
Result<Unit> start_unit(const oci::Spec& spec, const std::string& id);

/// What /proc/devices calls the driver of a major number; `type` is 'c' or 'b'. "" when it has
/// none.
std::string driver_name(std::string_view devices, char type, std::int64_t major);

/// Tells systemd new limits, or it would write its old ones again some day.
Result<void> update_unit(const std::string& unit, const oci::LinuxResources& resources);
/// Ends the unit and waits until it is gone; one that is gone already is fine.
Result<void> stop_unit(const std::string& unit);

}  // namespace corten::runtime_cli
