#pragma once
// Settings of the new namespaces and of the process itself that go through system calls or a
// private procfs. In the new process.
#include "plan.hpp"

namespace corten::runtime {

/// The root of what is mounted on the caller's /proc, which is the kernel's. Files of processes
/// that are not yet, or no longer, in a pid namespace of their own.
Result<Fd> host_proc();
/// A procfs of the new pid namespace that is mounted nowhere, so that nothing can be mounted over
/// its files (CVE-2019-19921, CVE-2025-52881). Falls back to the one at /proc of the host,
/// verified, when a user namespace may not make one.
Result<Fd> private_proc();
/// A file of a procfs; the path may not leave it nor cross into a mount, which could be of any
/// file.
Result<Fd> open_proc_file(FdView proc, std::string_view path, int flags);
/// In one write(2), which takes all of it or fails.
Result<void> write_proc_file(FdView file, std::string_view value);
/// Both.
Result<void> write_proc(FdView proc, std::string_view path, std::string_view value);

/// process.oomScoreAdj of a process in the caller's pid namespace: "self" or its number.
Result<void> apply_oom_score(const std::string& process, const oci::Process& wanted);

/// All the processors that the cgroup allows: which ones the caller keeps to is its own business.
void forget_affinity();

Result<void> apply_sysctl(FdView proc, const std::map<std::string, std::string>& values);
Result<void> apply_names(const oci::Spec& spec);  ///< hostname, domainname
Result<void> apply_personality(const oci::LinuxPersonality& personality);
Result<void> apply_memory_policy(const oci::LinuxMemoryPolicy& policy);
/// A session keyring of its own, so that the caller's keys are not the container's.
Result<void> new_session_keyring(const std::string& container_id);
/// Enters a new time namespace whose clocks are shifted.
Result<void> enter_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets);
Result<void> bring_up_loopback();

}  // namespace corten::runtime
