#pragma once
// System calls that are newer than libseccomp (Debian 12 has 2.5.4, which knows Linux 5.17).
#include <oci/runtime_seccomp.hpp>

#include <string>
#include <string_view>

namespace corten::seccomp {

/// Instructions to put before a filter that libseccomp wrote, so that
///  - new system calls the section names without conditions get their action instead of the
///  default,
///  - those newer than everything the section names fail with ENOSYS instead of the default's
///  EPERM:
///    libc then falls back to an older call, while EPERM it would take for an answer.
/// Empty when there is nothing to add, and on other machines than x86-64 and arm64.
std::string newer_syscalls_prefix(const oci::LinuxSeccomp& section);

/// Whether newer_syscalls_prefix() knows a call by its number that libseccomp does not.
bool is_newer_syscall(const std::string& name);

/// Calls of one kind of processor, with a number of its own, that libseccomp does not know either:
/// profiles for every machine allow them, and elsewhere there is nothing to allow.
bool is_of_one_machine(std::string_view name);

}  // namespace corten::seccomp
