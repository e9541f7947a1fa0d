#pragma once
// The program's own file, out of a container's reach.
#include <base/result.hpp>

namespace corten::runtime {

/// A process in a container can reach the file of whoever enters it through /proc/PID/exe, and as
/// root overwrite it (CVE-2019-5736). This runs the program again from a read-only mount of its own
/// file that is nowhere in the tree: nothing is copied. Where mounts are not allowed, from a sealed
/// copy in memory. Returns at once when the program already runs from either; otherwise only with
/// an error. Call it first thing in main(). corten-runtime takes the first way even before that, on
/// processors where it has an entry of its own (apps/corten-runtime/entry.cpp).
Result<void> run_sealed(char** argv);

}  // namespace corten::runtime
