#pragma once
// The device rules as the eBPF program that cgroup v2 wants (BPF_PROG_TYPE_CGROUP_DEVICE).
#include <base/result.hpp>
#include <oci/runtime_resources.hpp>

#include <linux/bpf.h>

#include <span>
#include <vector>

namespace corten::cgroup {

/// Later rules override earlier ones; what no rule names is allowed, as in a v1 group.
Result<std::vector<bpf_insn>> compile_device_rules(std::span<const oci::DeviceRule> rules);

}  // namespace corten::cgroup
