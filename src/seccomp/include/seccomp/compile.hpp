#pragma once
// From the OCI seccomp section to the program the kernel loads. Compiling docker's default profile
// costs milliseconds, so the daemon caches the program (by the section's text) and passes it on.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_seccomp.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::seccomp {

/// Refuses unknown actions, operators, architectures and flags, naming the field, and what
/// compile() refuses of system calls.
Result<void> validate(const oci::LinuxSeccomp& section);

/// The bytes of an array of struct sock_filter for all the section's architectures. A system call
/// that is not known is left out and told in `warnings`, if there are any to tell; where a rule is
/// stricter than the default it is refused: a misspelt name would allow what was to be denied.
Result<std::string> compile(const oci::LinuxSeccomp& section,
                            std::vector<std::string>* warnings = nullptr);

/// The program in a sealed memory file, ready to be passed to runtime::LaunchRequest.
Result<Fd> to_file(std::string_view program);

/// The flag bits of seccomp(2) that the section asks for; NEW_LISTENER is set when an action is
/// SCMP_ACT_NOTIFY.
Result<unsigned> filter_flags(const oci::LinuxSeccomp& section);

/// Names for `features`.
const std::vector<std::string>& known_actions();
const std::vector<std::string>& known_operators();
const std::vector<std::string>& known_architectures();
const std::vector<std::string>& known_flags();
/// Those of them that the running kernel takes.
std::vector<std::string> supported_flags();

}  // namespace corten::seccomp
