#include <base/json.hpp>
#include <base/text.hpp>
#include <sys/utsname.h>

#include <seccomp/profile.hpp>

#include <algorithm>
#include <charconv>

namespace corten::seccomp {

extern const std::string_view default_profile_text;

namespace {

struct Condition {
    std::vector<std::string> caps;
    std::vector<std::string> arches;
    std::string min_kernel;
    static constexpr void fields(auto visit) {
        visit(field("caps", &Condition::caps), field("arches", &Condition::arches),
              field("minKernel", &Condition::min_kernel));
    }
};

struct Rule {
    std::string name;  ///< the old form, for one call
    std::vector<std::string> names;
    std::string action;
    std::optional<std::uint32_t> errno_ret;
    std::vector<oci::SeccompArgument> args;
    Condition includes;
    Condition excludes;
    static constexpr void fields(auto visit) {
        visit(field("name", &Rule::name), field("names", &Rule::names),
              field("action", &Rule::action), field("errnoRet", &Rule::errno_ret),
              field("args", &Rule::args), field("includes", &Rule::includes),
              field("excludes", &Rule::excludes));
    }
};

struct Architecture {
    std::string architecture;
    std::vector<std::string> sub_architectures;
    static constexpr void fields(auto visit) {
        visit(field("architecture", &Architecture::architecture),
              field("subArchitectures", &Architecture::sub_architectures));
    }
};

struct Profile {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::vector<Architecture> arch_map;
    std::vector<std::string> flags;
    std::string listener_path;
    std::string listener_metadata;
    std::vector<Rule> syscalls;
    static constexpr void fields(auto visit) {
        visit(field("defaultAction", &Profile::default_action),
              field("defaultErrnoRet", &Profile::default_errno_ret),
              field("architectures", &Profile::architectures), field("archMap", &Profile::arch_map),
              field("flags", &Profile::flags), field("listenerPath", &Profile::listener_path),
              field("listenerMetadata", &Profile::listener_metadata),
              field("syscalls", &Profile::syscalls));
    }
};

struct Machine {
    std::string_view uname;
    std::string_view go;
    std::string_view seccomp;
};
constexpr Machine machines[] = {
    {"x86_64", "amd64", "SCMP_ARCH_X86_64"},     {"aarch64", "arm64", "SCMP_ARCH_AARCH64"},
    {"armv7l", "arm", "SCMP_ARCH_ARM"},          {"i686", "386", "SCMP_ARCH_X86"},
    {"ppc64le", "ppc64le", "SCMP_ARCH_PPC64LE"}, {"s390x", "s390x", "SCMP_ARCH_S390X"},
    {"riscv64", "riscv64", "SCMP_ARCH_RISCV64"}};

struct Kernel {
    int major = 0;
    int minor = 0;
    auto operator<=>(const Kernel&) const = default;
};

/// "6.1.0-13-amd64" or "4.8".
Result<Kernel> parse_kernel(std::string_view text) {
    Kernel kernel;
    const char* end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, kernel.major);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.')
        return fail(ErrorKind::invalid, "\"{}\" is not a kernel version", text);
    const auto second = std::from_chars(first.ptr + 1, end, kernel.minor);
    if (second.ec != std::errc{})
        return fail(ErrorKind::invalid, "\"{}\" is not a kernel version", text);
    return kernel;
}

struct Here {
    std::string architecture;  ///< Go's
    Kernel kernel;
    const std::vector<std::string>& capabilities;
};

Result<Here> complete(const ProfileContext& context) {
    utsname names{};
    if (::uname(&names) < 0) return fail_errno("uname");
    std::string architecture = context.architecture;
    if (architecture.empty()) {
        const auto* found =
            std::ranges::find(machines, std::string_view(names.machine), &Machine::uname);
        architecture = found == std::end(machines) ? names.machine : std::string(found->go);
    }
    const std::string release =
        context.kernel_release.empty() ? names.release : context.kernel_release;
    return Here{architecture, TRY(parse_kernel(release)), context.capabilities};
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
    return std::ranges::find(list, item) != list.end();
}

/// Every capability of the list is there; any architecture of it is ours.
Result<bool> included(const Condition& condition, const Here& here) {
    if (!condition.arches.empty() && !contains(condition.arches, here.architecture)) return false;
    for (const auto& capability : condition.caps)
        if (!contains(here.capabilities, capability)) return false;
    if (condition.min_kernel.empty()) return true;
    return here.kernel >= TRY(parse_kernel(condition.min_kernel));
}

/// Any of the list suffices.
Result<bool> excluded(const Condition& condition, const Here& here) {
    if (contains(condition.arches, here.architecture)) return true;
    for (const auto& capability : condition.caps)
        if (contains(here.capabilities, capability)) return true;
    if (condition.min_kernel.empty()) return false;
    return here.kernel >= TRY(parse_kernel(condition.min_kernel));
}

Result<std::vector<std::string>> architectures_for(const Profile& profile, const Here& here) {
    if (!profile.architectures.empty() && !profile.arch_map.empty())
        return fail(ErrorKind::invalid, "both \"architectures\" and \"archMap\" are given");
    if (!profile.architectures.empty()) return profile.architectures;
    const auto* machine = std::ranges::find(machines, here.architecture, &Machine::go);
    if (machine == std::end(machines)) return std::vector<std::string>();
    for (const auto& entry : profile.arch_map) {
        if (entry.architecture != machine->seccomp) continue;
        std::vector<std::string> all{entry.architecture};
        all.insert(all.end(), entry.sub_architectures.begin(), entry.sub_architectures.end());
        return all;
    }
    return std::vector<std::string>();
}

Result<oci::SeccompSyscall> take(Rule rule) {
    if (!rule.name.empty() && !rule.names.empty())
        return fail(ErrorKind::invalid, "both \"name\" and \"names\" are given for {}", rule.name);
    if (!rule.name.empty()) rule.names = {rule.name};
    return oci::SeccompSyscall{std::move(rule.names), std::move(rule.action), rule.errno_ret,
                               std::move(rule.args)};
}

Result<oci::LinuxSeccomp> resolve_profile(Profile profile, const Here& here) {
    oci::LinuxSeccomp section;
    section.architectures = TRY(architectures_for(profile, here));
    section.default_action = std::move(profile.default_action);
    section.default_errno_ret = profile.default_errno_ret;
    section.flags = std::move(profile.flags);
    section.listener_path = std::move(profile.listener_path);
    section.listener_metadata = std::move(profile.listener_metadata);
    for (auto& rule : profile.syscalls) {
        if (!TRY(included(rule.includes, here)) || TRY(excluded(rule.excludes, here))) continue;
        section.syscalls.push_back(TRY(take(std::move(rule))));
    }
    return section;
}

}  // namespace

std::string_view default_profile() {
    return default_profile_text;
}

Result<oci::LinuxSeccomp> resolve(std::string_view profile_json, const ProfileContext& context) {
    auto profile = TRY(parse_as<Profile>(profile_json, "seccomp profile"));
    const Here here = TRY(complete(context));
    return resolve_profile(std::move(profile), here).context("seccomp profile");
}

}  // namespace corten::seccomp
