#include "device_program.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace corten::cgroup {
namespace {

// Registers: what the prologue loads from struct bpf_cgroup_dev_ctx.
constexpr std::uint8_t context = BPF_REG_1;
constexpr std::uint8_t type = BPF_REG_2;
constexpr std::uint8_t access = BPF_REG_3;
constexpr std::uint8_t device_major = BPF_REG_4;
constexpr std::uint8_t device_minor = BPF_REG_5;

bpf_insn instruction(int code, std::uint8_t dst, std::uint8_t src, std::int16_t offset,
                     std::int32_t immediate) {
    bpf_insn out{};
    out.code = static_cast<std::uint8_t>(code);
    out.dst_reg = dst & 0xf;
    out.src_reg = src & 0xf;
    out.off = offset;
    out.imm = immediate;
    return out;
}

bpf_insn load(std::uint8_t to, std::size_t offset) {
    return instruction(BPF_LDX | BPF_MEM | BPF_W, to, context, static_cast<std::int16_t>(offset),
                       0);
}
bpf_insn move_immediate(std::uint8_t to, std::int32_t value) {
    return instruction(BPF_ALU | BPF_MOV | BPF_K, to, 0, 0, value);
}
bpf_insn move(std::uint8_t to, std::uint8_t from) {
    return instruction(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0);
}

std::int32_t access_bits(const std::string& letters) {
    std::int32_t bits = 0;
    if (letters.find('r') != letters.npos) bits |= BPF_DEVCG_ACC_READ;
    if (letters.find('w') != letters.npos) bits |= BPF_DEVCG_ACC_WRITE;
    if (letters.find('m') != letters.npos) bits |= BPF_DEVCG_ACC_MKNOD;
    return bits;
}
constexpr std::int32_t all_access = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;

class Program {
public:
    Program() {
        code_.push_back(load(access, offsetof(bpf_cgroup_dev_ctx, access_type)));
        code_.push_back(move(type, access));
        code_.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, type, 0, 0, 0xffff));
        code_.push_back(instruction(BPF_ALU | BPF_RSH | BPF_K, access, 0, 0, 16));
        code_.push_back(load(device_major, offsetof(bpf_cgroup_dev_ctx, major)));
        code_.push_back(load(device_minor, offsetof(bpf_cgroup_dev_ctx, minor)));
    }

    /// True when the rule takes every request, so that what is before it no longer counts.
    Result<bool> add(const oci::DeviceRule& rule) {
        jumps_.clear();
        const bool any_type = rule.type.empty() || rule.type == "a";
        const std::int32_t bits = rule.access.empty() ? all_access : access_bits(rule.access);
        if (!any_type)
            skip_unless_equal(type, rule.type == "b" ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
        if (bits != all_access) skip_unless_access(rule.allow, bits);
        const bool any_major = rule.major.value_or(-1) < 0;
        const bool any_minor = rule.minor.value_or(-1) < 0;
        if (!any_major) skip_unless_equal(device_major, TRY(number(*rule.major)));
        if (!any_minor) skip_unless_equal(device_minor, TRY(number(*rule.minor)));
        answer(rule.allow);
        for (const auto jump : jumps_)
            code_[jump].off = static_cast<std::int16_t>(code_.size() - jump - 1);
        return jumps_.empty();
    }

    void answer(bool allow) {
        code_.push_back(move_immediate(BPF_REG_0, allow ? 1 : 0));
        code_.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    }
    std::vector<bpf_insn> take() { return std::move(code_); }

private:
    static Result<std::int32_t> number(std::int64_t value) {
        if (value > std::numeric_limits<std::uint32_t>::max())
            return fail(ErrorKind::invalid, "linux.resources.devices: {} is not a device number",
                        value);
        return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
    }
    void skip_unless_equal(std::uint8_t reg, std::int32_t value) {
        jumps_.push_back(code_.size());
        code_.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value));
    }
    /// An allowing rule must cover all that is asked for; a denying one refuses if it covers any.
    void skip_unless_access(bool allow, std::int32_t bits) {
        code_.push_back(move(BPF_REG_1, access));
        code_.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, bits));
        jumps_.push_back(code_.size());
        code_.push_back(allow ? instruction(BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, access, 0, 0)
                              : instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0));
    }

    std::vector<bpf_insn> code_;
    std::vector<std::size_t> jumps_;
};

}  // namespace

Result<std::vector<bpf_insn>> compile_device_rules(std::span<const oci::DeviceRule> rules) {
    Program program;
    for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule)
        if (TRY(program.add(*rule))) return program.take();
    program.answer(true);
    return program.take();
}

}  // namespace corten::cgroup
