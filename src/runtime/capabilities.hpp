#pragma once
// Capability names and sets (capabilities(7)).
#include <base/result.hpp>
#include <oci/runtime_process.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::runtime {

/// Bit n is capability n.
struct CapabilitySets {
    std::uint64_t bounding = 0;
    std::uint64_t effective = 0;
    std::uint64_t inheritable = 0;
    std::uint64_t permitted = 0;
    std::uint64_t ambient = 0;
};

std::optional<int> capability_number(std::string_view name);

/// What cannot be granted (unknown names, or not in this process' own bounding set) is left out
/// and said in `warnings`: the specification asks for that instead of an error.
CapabilitySets resolve_capabilities(const oci::LinuxCapabilities& wanted,
                                    std::vector<std::string>& warnings);

/// Every capability there is on this kernel.
std::uint64_t all_capabilities();

/// In the child: drops the bounding set to `keep`. Needs CAP_SETPCAP.
Result<void> limit_bounding_set(std::uint64_t keep);
/// In the child, after the change of user: sets the other four sets.
Result<void> set_capabilities(const CapabilitySets& sets);

}  // namespace corten::runtime
