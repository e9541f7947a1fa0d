#pragma once
// Sections of the specification that this runtime does not carry out: refused by name, because
// whoever asks for them would get a process with less than what was asked for.
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>

#include <string_view>

namespace corten::runtime {

/// linux.intelRdt and linux.netDevices.
Result<void> refuse_unbuilt(const oci::Linux& section);

/// Classes of cache and memory bandwidth: unsupported where the host has none, not_built where it
/// has. `field` names who asks.
Error no_resctrl(std::string_view field);

}  // namespace corten::runtime
