#pragma once
// Steps that making a container and restoring one have in common.
#include "store.hpp"

#include <base/result.hpp>
#include <base/rollback.hpp>
#include <oci/runtime_spec.hpp>
#include <runtime/container.hpp>

#include <string>
#include <vector>

namespace corten::runtime_cli {

Result<std::string> absolute_bundle(const std::string& bundle);
/// The text of the bundle's config.json.
Result<std::string> read_configuration(const std::string& bundle);
/// linux.cgroupsPath, or where a container without one goes. With --systemd-cgroup it is checked
/// and left for place().
Result<std::string> cgroup_path(const Global& global, const oci::Spec& spec, const std::string& id);
/// Where the container's group is about to be made.
Result<Traces> traces_before(const Global& global, const oci::Spec& spec, const std::string& id);
/// Where systemd put the container.
struct Placement {
    std::string unit;
    sys::OwnedChild placeholder;  ///< to be dropped once the container's process is there
    cgroup::Group group;
};
/// Starts the unit that linux.cgroupsPath names; `undo` ends it.
Result<Placement> place(const oci::Spec& spec, const std::string& id, Rollback& undo);
/// invalid when the terminal has nowhere to go, or there is a socket for one and none.
Result<void> check_terminal(const oci::Spec& spec, const std::string& console_socket,
                            bool detached);
/// The record without what only the process has: pid, start time and cgroup.
Record record_of(const oci::Spec& spec, const std::string& id, const std::string& bundle);
/// To the debug log, and with --timings to the standard error.
void print_timings(const Global& global, const std::vector<runtime::Timing>& timings);
/// Runs all of the hooks; those that fail are logged.
void poststart(const Container& container, const oci::Spec& spec);

}  // namespace corten::runtime_cli
