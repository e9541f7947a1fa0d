#pragma once
// What systemd is told of a container's limits (systemd.resource-control(5)). When it loads its
// units anew it writes, in each controller that it knows, what it was told last, or else its
// default: a limit that it has not heard of would be gone then.
#include "systemd_bus.hpp"

#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <cstdint>
#include <string_view>

namespace corten::runtime_cli {

/// What decides how a limit is put.
struct LimitsHost {
    bool v2 = true;
    bool knows_idle = true;  ///< systemd 252
    bool has_bfq = false;    ///< io.bfq.weight is what a weight is written to
};
/// The limits that systemd knows on such a host, and that it knows in these units; the rest is for
/// the group's files alone, and so is what is no number: there the error names the field.
BusProperties unit_limits(const oci::LinuxResources& resources, const LimitsHost& host);

/// The rules of the container's devices, of which systemd has its own way on v1. Reads
/// /proc/devices.
Result<BusProperties> unit_devices(const oci::Spec& spec);

/// What /proc/devices calls the driver of a major number; `type` is 'c' or 'b'. "" when it has
/// none.
std::string driver_name(std::string_view devices, char type, std::int64_t major);

}  // namespace corten::runtime_cli
