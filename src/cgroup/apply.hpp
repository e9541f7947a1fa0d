#pragma once
#include <base/result.hpp>
#include <oci/runtime_resources.hpp>

#include <cgroup/convert.hpp>
#include <cgroup/group.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::cgroup {

Result<void> apply_v1(const Group& group, const oci::LinuxResources& resources);
Result<void> apply_v2(const Group& group, const oci::LinuxResources& resources);

/// What a hybrid machine has on v2; also parts of apply_v2().
Result<void> apply_hugetlb_v2(const Group& group, const std::vector<oci::HugepageLimit>& limits);
Result<void> apply_unified(const Group& group, const oci::LinuxResources& resources);

Result<void> apply_devices_v1(const std::string& directory,
                              const std::vector<oci::DeviceRule>& rules);
Result<void> apply_devices_v2(const std::string& directory,
                              const std::vector<oci::DeviceRule>& rules);

/// What a file is written for: the field below linux.resources, and the kernel's option.
struct Cause {
    std::string_view field;
    std::string_view option;
};

/// The directory that has this controller, or unsupported with the field and the kernel's option.
Result<std::string> need(const Group& group, std::string_view controller, std::string_view field,
                         std::string_view kernel_option);

}  // namespace corten::cgroup
