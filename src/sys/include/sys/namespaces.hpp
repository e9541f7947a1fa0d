#pragma once
// Namespaces as descriptors, for programs with threads: no names, no bind mounts. A network
// namespace lives as long as a process, a descriptor or a socket of it does; after the last one the
// kernel removes it together with the interfaces inside (and with the other end of each veth).
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace corten::sys {

/// The network namespace of the calling thread.
Result<Fd> current_network_namespace();
/// The network namespace of a process; not_found when there is no such process.
Result<Fd> network_namespace_of(pid_t pid);

/// Moves the calling thread into the namespace, and only this thread: never do it on a thread that
/// runs other people's work, because sockets and /proc/sys/net then mean another network.
Result<void> enter_network_namespace(FdView network_namespace);
/// Moves the calling thread into a new network namespace, in which only a loopback that is down
/// exists.
Result<void> unshare_network_namespace();

/// Runs `work` on a thread of its own inside the namespace and waits for it. Costs a thread (about
/// 50 microseconds); for /proc/sys/net and sockets that must be made inside.
Result<void> in_network_namespace(FdView network_namespace,
                                  const std::function<Result<void>()>& work);

/// The same in a mount namespace: "/" is that namespace's root, whatever its processes made theirs.
Result<void> in_mount_namespace(FdView mount_namespace, const std::function<Result<void>()>& work);

/// A number that is the same for every descriptor of one namespace (its inode on nsfs).
Result<std::uint64_t> namespace_identity(FdView network_namespace);

}  // namespace corten::sys
