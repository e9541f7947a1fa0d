#include "security_labels.hpp"

#include "kernel_settings.hpp"

#include <sys/file.hpp>
#include <sys/security_modules.hpp>
#include <sys/xattr.h>

#include <fcntl.h>

#include <cerrno>

namespace corten::runtime {
namespace {

Result<void> needs_selinux(std::string_view field, const std::string& label) {
    if (label.empty() || sys::selinux_enabled()) return {};
    return fail(ErrorKind::unsupported, "{}: \"{}\" cannot be set: this host has no SELinux", field,
                label);
}

/// AppArmor's own file since Linux 5.8; before that the one that all modules share.
Result<Fd> open_exec_profile(FdView proc) {
    auto own = open_proc_file(proc, "self/attr/apparmor/exec", O_WRONLY);
    if (own || own.error().number() != ENOENT) return own;
    return open_proc_file(proc, "self/attr/exec", O_WRONLY);
}

Result<void> set_profile(FdView proc, const std::string& profile) {
    const Fd file = TRY(open_exec_profile(proc));
    auto written = write_proc_file(file, "exec " + profile);
    // Without the number: whoever sees it would take the program for missing.
    if (!written && written.error().number() == ENOENT)
        return fail(ErrorKind::invalid, "no profile \"{}\" is loaded on this host", profile);
    return written;
}

}  // namespace

Result<LabelPlan> plan_labels(const oci::Process& process) {
    LabelPlan plan{.apparmor = process.apparmor_profile, .selinux = process.selinux_label};
    TRY(needs_selinux("process.selinuxLabel", plan.selinux));
    if (plan.apparmor.empty() || sys::apparmor_enabled()) return plan;
    if (plan.apparmor != "unconfined")
        return fail(ErrorKind::unsupported,
                    "process.apparmorProfile: \"{}\" cannot be set: this host has no AppArmor",
                    plan.apparmor);
    plan.apparmor.clear();
    return plan;
}

Result<void> check_mount_label(const std::string& label) {
    return needs_selinux("linux.mountLabel", label);
}

Result<void> labelled_session_keyring(FdView proc, const LabelPlan& labels, const std::string& id) {
    if (labels.selinux.empty()) return new_session_keyring(id);
    constexpr std::string_view file = "self/attr/keycreate", usual = "\n";
    TRY(write_proc(proc, file, labels.selinux).context("process.selinuxLabel"));
    TRY(new_session_keyring(id));
    return write_proc(proc, file, usual).context("process.selinuxLabel");
}

Result<void> label_next_program(FdView proc, const LabelPlan& labels) {
    if (!labels.apparmor.empty())
        TRY(set_profile(proc, labels.apparmor).context("process.apparmorProfile"));
    if (labels.selinux.empty()) return {};
    return write_proc(proc, "self/attr/exec", labels.selinux).context("process.selinuxLabel");
}

Result<void> label_file_system(const sys::FileSystemContext& context, const std::string& label) {
    if (label.empty()) return {};
    return context.set("context", label).context("linux.mountLabel");
}

Result<void> label_object(FdView object, const std::string& label) {
    if (label.empty()) return {};
    const auto path = fmt::format("/proc/self/fd/{}", object.raw());
    if (::setxattr(path.c_str(), "security.selinux", label.c_str(), label.size() + 1, 0) < 0)
        return fail_errno("linux.mountLabel: set {}", label);
    return {};
}

}  // namespace corten::runtime
