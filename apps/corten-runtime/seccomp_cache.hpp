#pragma once
#include "options.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_seccomp.hpp>

namespace corten::runtime_cli {

/// The compiled filter of a section, from <root>/.seccomp when one just like it was compiled before
/// (compiling docker's default profile takes longer than the rest of a container's start). Invalid
/// when it cannot be cached: then the runtime compiles.
Fd cached_filter(const Global& global, const oci::LinuxSeccomp& section);

}  // namespace corten::runtime_cli
