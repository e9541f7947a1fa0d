#pragma once
// Names of the specification that stand for numbers of the kernel, and lists of numbers.
#include <base/result.hpp>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace corten::oci {

struct KernelName {
    std::string_view name;
    std::uint64_t value;
};
using KernelNames = std::span<const KernelName>;

KernelNames rlimit_types();         ///< getrlimit(2)
KernelNames scheduler_policies();   ///< sched_setattr(2)
KernelNames scheduler_flags();      ///< sched_setattr(2)
KernelNames io_classes();           ///< ioprio_set(2)
KernelNames memory_policy_modes();  ///< set_mempolicy(2)
KernelNames memory_policy_flags();  ///< set_mempolicy(2)

/// invalid, with the field, when it is none of them.
Result<std::uint64_t> value_of(KernelNames names, std::string_view name, std::string_view field);
/// All of them together, as bits.
Result<std::uint64_t> bits_of(KernelNames names, std::span<const std::string> chosen,
                              std::string_view field);

/// "0-3,7" of cpuset(7): each number, none above `last`. Nothing for an empty list.
Result<std::vector<unsigned>> parse_number_list(std::string_view list, unsigned last,
                                                std::string_view field);

inline constexpr unsigned last_processor = 1023;  ///< of a cpu_set_t
inline constexpr unsigned last_memory_node = 63;  ///< of a mask in one word

}  // namespace corten::oci
