#include "names.hpp"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <seccomp/compile.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace corten::seccomp {
namespace {

template <typename Number>
struct Named {
    std::string_view name;
    Number number;
};

constexpr Named<std::uint32_t> actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
};

constexpr Named<int> operators[] = {
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {"SCMP_CMP_NE", SCMP_CMP_NE},
};

constexpr Named<std::uint32_t> architectures[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
};

constexpr Named<unsigned> flags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

template <typename Number, std::size_t N>
Result<Number> find(const Named<Number> (&table)[N], std::string_view name,
                    std::string_view field) {
    for (const auto& entry : table)
        if (entry.name == name) return entry.number;
    return fail(ErrorKind::invalid, "{}: \"{}\" is not known", field, name);
}

template <typename Number, std::size_t N>
std::vector<std::string> names_of(const Named<Number> (&table)[N]) {
    std::vector<std::string> names;
    for (const auto& entry : table) names.emplace_back(entry.name);
    return names;
}

}  // namespace

Result<std::uint32_t> action_number(std::string_view name, std::optional<std::uint32_t> errno_ret,
                                    std::string_view field) {
    const auto value = errno_ret.value_or(EPERM);
    if (value > 0xffff)
        return fail(ErrorKind::invalid, "{}: errnoRet {} is too large", field, value);
    if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(value);
    if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(value);
    if (errno_ret && *errno_ret != 0)
        return fail(ErrorKind::invalid, "{}: {} takes no errnoRet", field, name);
    return find(actions, name, field);
}

bool is_stricter(std::string_view action, std::string_view than) {
    constexpr std::array<std::string_view, 9> strictest_first{
        "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL",
        "SCMP_ACT_TRAP",         "SCMP_ACT_ERRNO",       "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",        "SCMP_ACT_LOG",         "SCMP_ACT_ALLOW"};
    const auto rank = [&](std::string_view name) {
        return std::ranges::find(strictest_first, name) - strictest_first.begin();
    };
    return rank(action) < rank(than);
}

Result<int> operator_number(std::string_view name, std::string_view field) {
    return find(operators, name, field);
}
Result<std::uint32_t> architecture_number(std::string_view name, std::string_view field) {
    return find(architectures, name, field);
}
Result<unsigned> flag_number(std::string_view name) {
    return find(flags, name, "linux.seccomp.flags");
}

const std::vector<std::string>& known_actions() {
    static const auto names = names_of(actions);
    return names;
}
const std::vector<std::string>& known_operators() {
    static const auto names = names_of(operators);
    return names;
}
const std::vector<std::string>& known_architectures() {
    static const auto names = names_of(architectures);
    return names;
}
const std::vector<std::string>& known_flags() {
    static const auto names = names_of(flags);
    return names;
}

}  // namespace corten::seccomp
