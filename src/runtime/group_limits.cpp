#include <runtime/group_limits.hpp>
#include <runtime/rights.hpp>

#include <algorithm>

namespace corten::runtime {
namespace {

std::vector<oci::DeviceRule> all_device_rules(const oci::Spec& spec) {
    const auto& resources = spec.linux_section.resources;
    std::vector<oci::DeviceRule> rules{{.allow = false, .access = "rwm"}};
    if (resources) rules.insert(rules.end(), resources->devices.begin(), resources->devices.end());
    const auto allow = [&](const char* type, std::int64_t major, std::int64_t minor,
                           const char* access) {
        rules.push_back({true, type, major, minor, access});
    };
    // What the specification's default devices need, and making nodes of any number, which gives no
    // access to what they name.
    allow("c", -1, -1, "m");
    allow("b", -1, -1, "m");
    for (const auto minor : {3, 8, 7, 5, 9}) allow("c", 1, minor, "rwm");
    allow("c", 5, 0, "rwm");
    allow("c", 136, -1, "rwm");
    allow("c", 5, 2, "rwm");
    return rules;
}

/// "allow everything" given last: a privileged container. Then nothing needs to be said.
bool allows_all_devices(const oci::Spec& spec) {
    const auto& resources = spec.linux_section.resources;
    if (!resources || resources->devices.empty()) return false;
    const auto& last = resources->devices.back();
    return last.allow && (last.type.empty() || last.type == "a") && last.major.value_or(-1) < 0 &&
           last.minor.value_or(-1) < 0 && (last.access.empty() || last.access == "rwm");
}

/// Limits of v1 alone that the specification allows to pass over.
void warn_of_ignored(const cgroup::Group& group, const oci::LinuxResources& resources,
                     std::vector<std::string>& warnings) {
    if (!resources.memory) return;
    const auto& memory = *resources.memory;
    if (memory.kernel.value_or(0) > 0)
        warnings.push_back("linux.resources.memory.kernel: the kernel has dropped it, ignoring");
    const bool v2 = !group.directory("").empty();
    if (v2 && memory.kernel_tcp.value_or(0) > 0)
        warnings.push_back(
            "linux.resources.memory.kernelTCP: cgroup v2 has no such limit, ignoring");
}

}  // namespace

std::vector<oci::DeviceRule> device_rules(const oci::Spec& spec) {
    return allows_all_devices(spec) ? std::vector<oci::DeviceRule>() : all_device_rules(spec);
}

cgroup::OnHybrid halves_for(const oci::Spec& spec) {
    const auto& resources = spec.linux_section.resources;
    const bool limited =
        resources && !(resources->unified.empty() && resources->hugepage_limits.empty());
    const bool shown = std::ranges::any_of(
        spec.mounts, [](const oci::Mount& mount) { return mount.type == "cgroup2"; });
    return limited || shown ? cgroup::OnHybrid::both : cgroup::OnHybrid::v1;
}

Result<void> apply_resources(const cgroup::Group& group, const oci::Spec& spec,
                             std::vector<std::string>& warnings) {
    oci::LinuxResources resources = spec.linux_section.resources.value_or(oci::LinuxResources{});
    warn_of_ignored(group, resources, warnings);
    resources.devices.clear();
    TRY(group.apply(resources));
    const auto rules = device_rules(spec);
    if (rules.empty()) return {};
    auto applied = group.apply_devices(rules);
    if (applied || !lacks_rights(applied.error()) || is_host_root()) return applied;
    // An ordinary user may not set them, and can make no devices either.
    warnings.push_back(applied.error().message() + ", ignoring");
    return {};
}

}  // namespace corten::runtime
