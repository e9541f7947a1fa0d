#pragma once
// clone3(2), setns(2) and unshare(2) for single-threaded programs.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/process.hpp>

#include <cstdint>
#include <optional>

namespace corten::sys {

/// What clone_process() gives in the child; in the parent it gives the child.
struct CloneRequest {
    std::uint64_t flags = 0;  ///< CLONE_NEW*, CLONE_PARENT, ...
    FdView cgroup;            ///< a v2 group to be born in (CLONE_INTO_CGROUP)
};

/// fork(2) with namespaces and a pidfd. In the child the value is nullopt. Only for callers with
/// one thread: the child goes on in a copy of their memory.
Result<std::optional<PidRef>> clone_process(const CloneRequest& request);

/// setns(2): `types` is CLONE_NEW* (or 0 when a namespace's own descriptor tells).
Result<void> enter_namespaces(FdView fd, int types);
Result<void> unshare_namespaces(int types);

}  // namespace corten::sys
