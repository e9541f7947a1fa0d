#include "apparmor.hpp"

#include "security.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>

#include <unistd.h>

#include <algorithm>

namespace corten::engine {

namespace {

/// "name (mode)" a line, where AppArmor's files tell of profiles.
std::string_view profile_name(std::string_view line) {
    const auto mode = line.rfind(" (");
    return trim(line.substr(0, mode));
}

Result<bool> is_loaded(std::string_view profile) {
    const auto text = TRY(sys::read_file(HostFacts::loaded_profiles).context("AppArmor"));
    const auto lines = split(text, '\n');
    return std::ranges::any_of(lines,
                               [&](const auto& line) { return profile_name(line) == profile; });
}

/// The rules are in the pipe before the parser starts: they are shorter than what a pipe holds.
Result<void> load(const std::string& parser, std::string_view rules) {
    auto [rules_out, rules_in] = TRY(sys::pipe());
    auto [words_out, words_in] = TRY(sys::pipe());
    TRY(sys::write_all(rules_in, rules));
    rules_in.reset();
    auto child = TRY(sys::spawn(
        {.program = parser,
         .arguments = {"--skip-cache", "--replace"},
         .environment = {},
         .fds = {
             {rules_out, STDIN_FILENO}, {words_in, STDOUT_FILENO}, {words_in, STDERR_FILENO}}}));
    words_in.reset();
    const auto words = TRY(sys::read_all(words_out));
    const auto status = TRY(child.wait());
    if (status.code == 0) return {};
    return fail(ErrorKind::unavailable, "{} ended with {}: {}", parser, status.code, trim(words));
}

}  // namespace

std::string default_profile_rules(std::string_view daemon) {
    constexpr std::string_view rules = R"(profile {0} flags=(attach_disconnected,mediate_deleted) {{
  file,
  network,
  unix,
  capability,
  umount,

  # Who stops containers, and containers themselves. What is not confined may trace all.
  signal (receive) peer=unconfined,
  signal (receive) peer="{1}",
  signal (send, receive) peer={0},
  ptrace (trace, read, tracedby, readby) peer={0},
  ptrace (tracedby, readby),

  deny mount,

  # Of /proc only processes' own files are written, and of /proc/sys the limits of shared memory.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys[^/]*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # Of /sys only control groups are written, and firmware, power meters and the modules' own
  # files are not even read.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
)";
    return fmt::format(rules, default_apparmor_profile, daemon);
}

Result<void> DefaultProfile::ensure_loaded(const HostFacts& facts) {
    const std::scoped_lock lock(loading_);
    if (TRY(is_loaded(default_apparmor_profile))) return {};
    const auto own = TRY(sys::read_file("/proc/self/attr/current").context("AppArmor"));
    return load(facts.apparmor_parser, default_profile_rules(profile_name(own)))
        .context(fmt::format("AppArmor profile {}", default_apparmor_profile));
}

}  // namespace corten::engine
