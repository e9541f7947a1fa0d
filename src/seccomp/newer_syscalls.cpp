#include "newer_syscalls.hpp"

#include "names.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

namespace corten::seccomp {
namespace {

struct Newer {
    std::string_view name;
    int number;
};
// From 424 on a call has one number on all architectures (the kernel's syscall tables).
constexpr Newer newer[] = {{"futex_waitv", 449},       {"set_mempolicy_home_node", 450},
                           {"cachestat", 451},         {"fchmodat2", 452},
                           {"map_shadow_stack", 453},  {"futex_wake", 454},
                           {"futex_wait", 455},        {"futex_requeue", 456},
                           {"statmount", 457},         {"listmount", 458},
                           {"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460},
                           {"lsm_list_modules", 461},  {"mseal", 462},
                           {"setxattrat", 463},        {"getxattrat", 464},
                           {"listxattrat", 465},       {"removexattrat", 466},
                           {"open_tree_attr", 467},    {"file_getattr", 468},
                           {"file_setattr", 469}};
constexpr int first_uniform = 424;

int number_of(const std::string& name) {
    const int known = ::seccomp_syscall_resolve_name(name.c_str());
    if (known >= 0) return known;
    const auto* found = std::ranges::find(newer, name, &Newer::name);
    return found == std::end(newer) ? -1 : found->number;
}

bool is_new_to_libseccomp(const std::string& name) {
    return ::seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR && number_of(name) > 0;
}

sock_filter instruction(unsigned code, std::uint32_t k, std::size_t if_true = 0,
                        std::size_t if_false = 0) {
    return {static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(if_true),
            static_cast<std::uint8_t>(if_false), k};
}

struct Plan {
    std::map<int, std::uint32_t> actions;  ///< of the new calls the section names
    int newest = 0;                        ///< the highest number it names
};

Plan plan_for(const oci::LinuxSeccomp& section) {
    Plan plan;
    for (const auto& rule : section.syscalls) {
        const auto action = action_number(rule.action, rule.errno_ret, "linux.seccomp");
        for (const auto& name : rule.names) {
            plan.newest = std::max(plan.newest, number_of(name));
            if (action && rule.args.empty() && is_new_to_libseccomp(name))
                plan.actions.emplace(number_of(name), *action);
        }
    }
    return plan;
}

bool has_x32(const oci::LinuxSeccomp& section) {
    return std::ranges::find(section.architectures, "SCMP_ARCH_X32") != section.architectures.end();
}

/// The architectures of a processor, as the kernel tells them to a filter.
struct Machine {
    std::uint32_t wide;
    std::uint32_t narrow;
};

std::optional<Machine> this_machine() {
    switch (::seccomp_arch_native()) {
        case SCMP_ARCH_X86_64:
            return Machine{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386};
        case SCMP_ARCH_AARCH64:
            return Machine{AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
        default:
            return std::nullopt;
    }
}

/// Pairs of "is it this one? then this action"; the jumps' distances are known at once.
std::vector<sock_filter> assemble(const Plan& plan, const Machine& machine, bool x32, bool enosys) {
    std::vector<sock_filter> body;
    if (x32) body.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, ~0x40000000U));
    for (const auto& [number, action] : plan.actions) {
        body.push_back(
            instruction(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
        body.push_back(instruction(BPF_RET | BPF_K, action));
    }
    if (enosys) {
        // Not what has another bit set: that is x32 where x32 is not allowed, or no number at all.
        body.push_back(instruction(BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 2, 0));
        body.push_back(
            instruction(BPF_JMP | BPF_JGT | BPF_K, static_cast<std::uint32_t>(plan.newest), 0, 1));
        body.push_back(instruction(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    }
    std::vector<sock_filter> program;
    program.push_back(instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    program.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, machine.wide, 1, 0));
    program.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, machine.narrow, 0, body.size() + 1));
    program.push_back(instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    program.insert(program.end(), body.begin(), body.end());
    return program;
}

}  // namespace

bool is_newer_syscall(const std::string& name) {
    return this_machine() && is_new_to_libseccomp(name);
}

bool is_of_one_machine(std::string_view name) {
    constexpr std::array<std::string_view, 3> names{"riscv_hwprobe", "uretprobe", "uprobe"};
    return std::ranges::find(names, name) != names.end();
}

std::string newer_syscalls_prefix(const oci::LinuxSeccomp& section) {
    const auto machine = this_machine();
    if (!machine) return "";
    const Plan plan = plan_for(section);
    // Only a default that says "not permitted" misleads; and the numbers must be uniform.
    const bool enosys = section.default_action == "SCMP_ACT_ERRNO" &&
                        section.default_errno_ret.value_or(EPERM) != ENOSYS &&
                        plan.newest >= first_uniform;
    if (plan.actions.empty() && !enosys) return "";
    const auto program = assemble(plan, *machine, has_x32(section), enosys);
    return {reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter)};
}

}  // namespace corten::seccomp
