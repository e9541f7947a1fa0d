#include "delegation.hpp"

#include <runtime/rights.hpp>
#include <sys/mount.h>

#include <sched.h>
#include <unistd.h>

#include <algorithm>

namespace corten::runtime {
namespace {

bool mounts_v2_for_writing(const LaunchPlan& plan) {
    return std::ranges::any_of(plan.mounts, [&](const MountPlan& mount) {
        const bool v2 =
            mount.type == "cgroup2" || (mount.type == "cgroup" && plan.cgroup_layout.unified());
        return v2 && (mount.options.set & MOUNT_ATTR_RDONLY) == 0;
    });
}

/// Nobody whom the host knows: an id that is not mapped, or a namespace that others have mapped.
std::optional<uid_t> host_user(const LaunchPlan& plan) {
    const uid_t inside = plan.process.process.user.uid;
    if (!plan.namespaces.own(CLONE_NEWUSER)) return inside;
    for (const auto& map : plan.spec.linux_section.uid_mappings)
        if (inside >= map.container_id && inside - map.container_id < map.size)
            return map.host_id + (inside - map.container_id);
    return std::nullopt;
}

}  // namespace

Result<void> delegate_group(LaunchPlan& plan) {
    if (plan.cgroup.v2_directory().empty() || !plan.namespaces.own(CLONE_NEWCGROUP) ||
        !mounts_v2_for_writing(plan))
        return {};
    const auto owner = host_user(plan);
    if (!owner || *owner == ::geteuid()) return {};
    auto given = plan.cgroup.delegate_to(*owner);
    if (given || !lacks_rights(given.error())) return given;
    plan.warnings.push_back(given.error().message() + ", ignoring");
    return {};
}

}  // namespace corten::runtime
