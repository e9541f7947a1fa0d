#pragma once
// A container's limits, for whoever makes its group before create() does.
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <cgroup/group.hpp>

#include <string>
#include <vector>

namespace corten::runtime {

/// The device rules that a container has, those of the default devices among them; the later ones
/// win. None: all devices are allowed.
std::vector<oci::DeviceRule> device_rules(const oci::Spec& spec);

/// Where the container's group has to be on a hybrid machine: on v2 too when it mounts that, or has
/// limits that only v2 may have.
cgroup::OnHybrid halves_for(const oci::Spec& spec);

/// Writes linux.resources and the device rules to the container's group. What is passed over is
/// told in `warnings`. Errors name the field.
Result<void> apply_resources(const cgroup::Group& group, const oci::Spec& spec,
                             std::vector<std::string>& warnings);

}  // namespace corten::runtime
