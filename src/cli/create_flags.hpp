#pragma once
#include "flags.hpp"

namespace corten::cli {

/// The flags of `create`, and of `run`, which has a few more.
std::span<const Flag> create_flags();
std::span<const Flag> run_flags();
/// The flags of `update`: the limits that can be changed on a living container.
std::span<const Flag> update_flags();

}  // namespace corten::cli
