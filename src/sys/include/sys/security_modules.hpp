#pragma once
// Which of the kernel's security modules are on. Both are asked anew each time: it costs a file
// each.

namespace corten::sys {

/// AppArmor is built into the kernel and was not turned off when it was booted.
bool apparmor_enabled();
/// SELinux is on: its file system is mounted where it belongs, at /sys/fs/selinux.
bool selinux_enabled();

}  // namespace corten::sys
