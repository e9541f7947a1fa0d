#pragma once
// What the kernel's security modules know a process and a file system by: AppArmor's profile,
// SELinux's context.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_process.hpp>
#include <sys/mount.hpp>

#include <string>

namespace corten::runtime {

struct LabelPlan {
    std::string apparmor;  ///< the program's profile; empty: the caller's goes on
    std::string selinux;   ///< context of the program and of its keys; empty: what the policy says
    bool empty() const { return apparmor.empty() && selinux.empty(); }
};

/// In the caller. unsupported, naming the field, for a label that no module of this host knows:
/// the process would be less confined than it is told.
Result<LabelPlan> plan_labels(const oci::Process& process);
/// linux.mountLabel, likewise.
Result<void> check_mount_label(const std::string& label);

// In the new process. `proc` is the root of a procfs that nobody else can mount on: a label that is
// written to some other file confines nothing (CVE-2019-16884, CVE-2023-28642, CVE-2025-52881).

/// A session keyring whose keys have the process's context.
Result<void> labelled_session_keyring(FdView proc, const LabelPlan& labels, const std::string& id);
/// From the next execve on. invalid when the profile is not loaded.
Result<void> label_next_program(FdView proc, const LabelPlan& labels);

/// All files of a file system that is about to be made get this context; an empty one does nothing.
Result<void> label_file_system(const sys::FileSystemContext& context, const std::string& label);
/// The object itself, for file systems that take no context. `object` may be an O_PATH descriptor;
/// the caller still sees the host's /proc.
Result<void> label_object(FdView object, const std::string& label);

}  // namespace corten::runtime
