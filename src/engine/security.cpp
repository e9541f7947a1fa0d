#include "security.hpp"

#include <base/text.hpp>
#include <oci/capability_names.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <ranges>

namespace corten::engine {

const std::vector<std::string>& default_capabilities() {
    static const std::vector<std::string> names = {
        "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
        "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
        "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
        "CAP_KILL",    "CAP_AUDIT_WRITE"};
    return names;
}

namespace {

bool holds(const std::vector<std::string>& list, std::string_view item) {
    return std::ranges::find(list, item) != list.end();
}

std::string normalised(std::string_view name) {
    std::string upper(name);
    std::ranges::transform(upper, upper.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    });
    if (upper == "ALL" || upper.starts_with("CAP_")) return upper;
    return "CAP_" + upper;
}

Result<void> check_known(const apitypes::StrSlice& names, std::string_view what) {
    for (const auto& name : names.values())
        if (const auto full = normalised(name);
            full != "ALL" && !holds(oci::capability_names(), full))
            return fail(ErrorKind::invalid, "invalid {}: unknown capability: \"{}\"", what, full);
    return {};
}

std::vector<std::string> normalised_all(const apitypes::StrSlice& names) {
    std::vector<std::string> out;
    for (const auto& name : names.values()) out.push_back(normalised(name));
    return out;
}

}  // namespace

Result<std::vector<std::string>> capabilities_of(const apitypes::HostConfig& host,
                                                 const HostFacts& facts) {
    TRY(check_known(host.cap_add, "CapAdd"));
    TRY(check_known(host.cap_drop, "CapDrop"));
    if (host.privileged) return facts.capabilities;
    const auto added = normalised_all(host.cap_add);
    const auto dropped = normalised_all(host.cap_drop);
    std::vector<std::string> held =
        holds(added, "ALL") ? facts.capabilities : default_capabilities();
    if (holds(dropped, "ALL")) held.clear();
    std::erase_if(held, [&](const auto& name) { return holds(dropped, name); });
    for (const auto& name : added) {
        if (name == "ALL" || holds(held, name)) continue;
        if (!holds(facts.capabilities, name))
            return fail(ErrorKind::unsupported,
                        "--cap-add {}: the daemon itself runs without this capability", name);
        held.push_back(name);
    }
    return held;
}

void normalise_capabilities(apitypes::HostConfig& host) {
    for (auto* names : {&host.cap_add, &host.cap_drop})
        if (names->list)
            for (auto& name : *names->list) name = normalised(name);
}

namespace {

Result<bool> parse_switch(std::string_view value, std::string_view option) {
    if (value.empty() || value == "true" || value == "1") return true;
    if (value == "false" || value == "0") return false;
    return fail(ErrorKind::invalid, "invalid --security-opt 2: \"{}={}\"", option, value);
}

Result<void> apply_security_option(SecurityOptions& out, const std::string& option) {
    // Old clients write "seccomp:unconfined".
    const char separator = option.find('=') != std::string::npos ? '=' : ':';
    const auto [key, value] = split_once(option, separator);
    if (key == "no-new-privileges") {
        out.no_new_privileges = TRY(parse_switch(value, key));
    } else if (key == "seccomp") {
        out.seccomp_unconfined = value == "unconfined";
        if (!out.seccomp_unconfined && value != "builtin") out.seccomp_profile = value;
    } else if (key == "apparmor") {
        out.apparmor = value;
    } else if (key == "label") {
        if (value != "disable") out.label = value;
    } else if (key == "systempaths" && value == "unconfined") {
        // Sent as empty MaskedPaths and ReadonlyPaths by the client; the word itself is harmless.
    } else {
        return fail(ErrorKind::invalid, "invalid --security-opt 2: \"{}\"", option);
    }
    return {};
}

}  // namespace

Result<SecurityOptions> parse_security_options(const apitypes::HostConfig& host) {
    SecurityOptions out;
    for (const auto& option : apitypes::items(host.security_opt))
        TRY(apply_security_option(out, option));
    return out;
}

bool wants_seccomp(const SecurityOptions& options, bool privileged) {
    if (options.seccomp_unconfined) return false;
    return !privileged || !options.seccomp_profile.empty();
}

Result<void> check_security_modules(const SecurityOptions& options, const HostFacts& facts) {
    if (!options.label.empty())
        return fail(ErrorKind::unsupported, "--security-opt label={}: {}", options.label,
                    facts.selinux ? "SELinux labels of containers are not implemented"
                                  : "this host has no SELinux");
    if (facts.apparmor || options.apparmor.empty() || options.apparmor == "unconfined") return {};
    return fail(ErrorKind::unsupported,
                "--security-opt apparmor={}: this host has no AppArmor, so that the container "
                "would not be confined by it",
                options.apparmor);
}

std::string apparmor_profile(const SecurityOptions& options, bool privileged,
                             const HostFacts& facts) {
    if (!options.apparmor.empty()) return options.apparmor;
    if (!facts.apparmor) return "";
    if (privileged) return "unconfined";
    return facts.apparmor_parser.empty() ? "" : std::string(default_apparmor_profile);
}

namespace {

/// The per-CPU thermal counters tell what other tenants do; the kernel has one directory per CPU.
std::vector<std::string> thermal_paths() {
    std::vector<std::string> paths;
    for (int cpu = 0;; ++cpu) {
        const std::string base = fmt::format("/sys/devices/system/cpu/cpu{}", cpu);
        if (!sys::exists(base)) return paths;
        if (sys::exists(base + "/thermal_throttle")) paths.push_back(base + "/thermal_throttle");
    }
}

}  // namespace

const std::vector<std::string>& default_masked_paths() {
    static const std::vector<std::string> paths = [] {
        std::vector<std::string> list = {"/proc/acpi",
                                         "/proc/asound",
                                         "/proc/interrupts",
                                         "/proc/kcore",
                                         "/proc/keys",
                                         "/proc/latency_stats",
                                         "/proc/sched_debug",
                                         "/proc/scsi",
                                         "/proc/timer_list",
                                         "/proc/timer_stats",
                                         "/sys/devices/virtual/powercap",
                                         "/sys/firmware"};
        for (auto& path : thermal_paths()) list.push_back(std::move(path));
        return list;
    }();
    return paths;
}

const std::vector<std::string>& default_readonly_paths() {
    static const std::vector<std::string> paths = {"/proc/bus", "/proc/fs", "/proc/irq",
                                                   "/proc/sys", "/proc/sysrq-trigger"};
    return paths;
}

}  // namespace corten::engine
