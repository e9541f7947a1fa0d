#pragma once
// Paths that are not to lead somewhere else: openat2(2), and for Linux before 5.6 the same by hand.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace corten::sys {

/// `flags` as for open(2), O_CLOEXEC added; `resolve` is RESOLVE_* of <linux/openat2.h>, with
/// RESOLVE_IN_ROOT or RESOLVE_BENEATH among them. By hand RESOLVE_NO_XDEV only sees where another
/// file system is mounted, not where another part of the same one is.
Result<Fd> open_resolved(FdView root, const std::string& path, int flags, mode_t mode,
                         std::uint64_t resolve);

}  // namespace corten::sys
