#include "names.hpp"
#include "newer_syscalls.hpp"

#include <sys/file.hpp>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <seccomp/compile.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>

namespace corten::seccomp {
namespace {

struct ReleaseFilter {
    void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

/// libseccomp returns -errno and leaves errno alone.
Error filter_error(int result, std::string_view what) {
    return Error::from_errno(-result, fmt::format("linux.seccomp: {}", what));
}

Result<Filter> new_filter(const oci::LinuxSeccomp& section) {
    const auto action = TRY(action_number(section.default_action, section.default_errno_ret,
                                          "linux.seccomp.defaultAction"));
    Filter filter(::seccomp_init(action));
    if (!filter) return fail(ErrorKind::io, "linux.seccomp: libseccomp refused the default action");
    // A tree instead of a list: as it loads a program the kernel tries every number of a call on
    // it.
    constexpr std::uint32_t binary_tree = 2;
    // Refused by libseccomp before 2.5, whose lists do as well.
    (void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, binary_tree);
    for (const auto& name : section.architectures) {
        const auto number = TRY(architecture_number(name, "linux.seccomp.architectures"));
        const int result = ::seccomp_arch_add(filter.get(), number);
        if (result < 0 && result != -EEXIST) return filter_error(result, "add " + name);
    }
    return filter;
}

Result<std::vector<scmp_arg_cmp>> comparisons(const oci::SeccompSyscall& rule,
                                              const std::string& field) {
    std::vector<scmp_arg_cmp> all;
    for (const auto& argument : rule.args) {
        if (argument.index > 5)
            return fail(ErrorKind::invalid, "{}.args: index {} is above 5", field, argument.index);
        const int op = TRY(operator_number(argument.op, field + ".args"));
        scmp_arg_cmp compare{};
        compare.arg = argument.index;
        compare.op = static_cast<scmp_compare>(op);
        compare.datum_a = argument.value;
        compare.datum_b = argument.value_two;
        all.push_back(compare);
    }
    return all;
}

/// Two conditions on one argument cannot be joined by "and" in a filter: then any of them does,
/// which is what the profiles that have this mean.
bool repeats_argument(const std::vector<scmp_arg_cmp>& all) {
    std::set<unsigned> seen;
    return std::ranges::any_of(all, [&](const auto& c) { return !seen.insert(c.arg).second; });
}

Result<void> add_one(scmp_filter_ctx filter, std::uint32_t action, int number,
                     const std::vector<scmp_arg_cmp>& conditions, const std::string& name) {
    const auto add = [&](unsigned count, const scmp_arg_cmp* first) -> Result<void> {
        const int result = ::seccomp_rule_add_array(filter, action, number, count, first);
        if (result < 0 && result != -EEXIST) return filter_error(result, "rule for " + name);
        return {};
    };
    if (!repeats_argument(conditions))
        return add(static_cast<unsigned>(conditions.size()), conditions.data());
    for (const auto& condition : conditions) TRY(add(1, &condition));
    return {};
}

/// What is not known of a rule's calls, or of them only by number and so without conditions.
Result<void> check_names(const oci::LinuxSeccomp& section, std::size_t index,
                         std::vector<std::string>* warnings) {
    const auto& rule = section.syscalls[index];
    const bool denies = is_stricter(rule.action, section.default_action);
    for (std::size_t i = 0; i < rule.names.size(); ++i) {
        if (::seccomp_syscall_resolve_name(rule.names[i].c_str()) != __NR_SCMP_ERROR) continue;
        const bool newer = is_newer_syscall(rule.names[i]);
        if (newer && rule.args.empty()) continue;
        if (!denies && is_of_one_machine(rule.names[i])) continue;
        auto said = fmt::format(
            "linux.seccomp.syscalls[{}].names[{}]: {}", index, i,
            newer ? fmt::format("{} is too new for conditions on its arguments", rule.names[i])
                  : fmt::format("\"{}\" is not known", rule.names[i]));
        if (denies) return fail(ErrorKind::invalid, "{}, and would not be denied", said);
        if (warnings != nullptr) warnings->push_back(std::move(said) + ", ignoring");
    }
    return {};
}

Result<void> add_rule(scmp_filter_ctx filter, std::uint32_t default_action,
                      const oci::SeccompSyscall& rule, std::size_t index) {
    const auto field = fmt::format("linux.seccomp.syscalls[{}]", index);
    const auto action = TRY(action_number(rule.action, rule.errno_ret, field + ".action"));
    if (rule.names.empty()) return fail(ErrorKind::invalid, "{}.names: is empty", field);
    const auto conditions = TRY(comparisons(rule, field));
    if (action == default_action) return {};  // libseccomp refuses a rule that changes nothing
    for (const auto& name : rule.names) {
        const int number = ::seccomp_syscall_resolve_name(name.c_str());
        if (number == __NR_SCMP_ERROR) continue;  // see check_names()
        TRY(add_one(filter, action, number, conditions, name));
    }
    return {};
}

Result<Filter> build(const oci::LinuxSeccomp& section) {
    Filter filter = TRY(new_filter(section));
    const auto default_action = TRY(action_number(section.default_action, section.default_errno_ret,
                                                  "linux.seccomp.defaultAction"));
    for (std::size_t i = 0; i < section.syscalls.size(); ++i)
        TRY(add_rule(filter.get(), default_action, section.syscalls[i], i));
    return filter;
}

}  // namespace

Result<void> validate(const oci::LinuxSeccomp& section) {
    TRY(action_number(section.default_action, section.default_errno_ret,
                      "linux.seccomp.defaultAction"));
    for (const auto& name : section.architectures)
        TRY(architecture_number(name, "linux.seccomp.architectures"));
    for (std::size_t i = 0; i < section.syscalls.size(); ++i) {
        const auto field = fmt::format("linux.seccomp.syscalls[{}]", i);
        const auto& rule = section.syscalls[i];
        TRY(action_number(rule.action, rule.errno_ret, field + ".action"));
        TRY(comparisons(rule, field));
        TRY(check_names(section, i, nullptr));
    }
    TRY(filter_flags(section));
    return {};
}

Result<std::string> compile(const oci::LinuxSeccomp& section, std::vector<std::string>* warnings) {
    const Filter filter = TRY(build(section));
    for (std::size_t i = 0; i < section.syscalls.size(); ++i)
        TRY(check_names(section, i, warnings));
    const Fd file = TRY(sys::memory_file("seccomp"));
    const int result = ::seccomp_export_bpf(filter.get(), file.raw());
    if (result < 0) return filter_error(result, "write the program");
    if (::lseek(file.raw(), 0, SEEK_SET) < 0) return fail_errno("seek");
    return newer_syscalls_prefix(section) + TRY(sys::read_all(file));
}

Result<Fd> to_file(std::string_view program) {
    Fd file(::memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) return fail_errno("memfd_create");
    TRY(sys::write_all(file, program));
    if (::fcntl(file.raw(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
        0)
        return fail_errno("seal the seccomp program");
    return file;
}

Result<unsigned> filter_flags(const oci::LinuxSeccomp& section) {
    unsigned flags = 0;
    for (const auto& name : section.flags) flags |= TRY(flag_number(name));
    const auto notifies = [](const auto& rule) { return rule.action == "SCMP_ACT_NOTIFY"; };
    if (section.default_action == "SCMP_ACT_NOTIFY")
        return fail(ErrorKind::invalid,
                    "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would stop the runtime itself");
    // With these the process hands the listener over and reports itself: it would wait for ever.
    for (const std::string_view needed : {"write", "sendmsg"})
        for (const auto& rule : section.syscalls)
            if (notifies(rule) && std::ranges::find(rule.names, needed) != rule.names.end())
                return fail(ErrorKind::invalid,
                            "linux.seccomp: SCMP_ACT_NOTIFY cannot be used for the {} syscall",
                            needed);
    if (std::ranges::any_of(section.syscalls, notifies)) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return flags;
}

std::vector<std::string> supported_flags() {
    std::vector<std::string> found;
    for (const auto& name : known_flags()) {
        const auto flag = flag_number(name);
        // Without a program nothing is loaded: flags are looked at first, and then the address.
        if (flag && ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, *flag, nullptr) < 0 &&
            errno == EFAULT)
            found.push_back(name);
    }
    return found;
}

}  // namespace corten::seccomp
