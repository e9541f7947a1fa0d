#include "apply.hpp"
#include "device_program.hpp"
#include "files.hpp"

#include <sys/file.hpp>
#include <sys/syscall.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <span>

namespace corten::cgroup {
namespace {

bool is_catch_all(const oci::DeviceRule& rule) {
    return (rule.type.empty() || rule.type == "a") && rule.major.value_or(-1) < 0 &&
           rule.minor.value_or(-1) < 0 && (rule.access.empty() || rule.access == "rwm");
}

/// What stands before the last rule that names every device no longer counts.
std::span<const oci::DeviceRule> effective(const std::vector<oci::DeviceRule>& rules) {
    for (std::size_t i = rules.size(); i > 0; --i)
        if (is_catch_all(rules[i - 1])) return std::span(rules).subspan(i - 1);
    return rules;
}

std::string number_or_star(const std::optional<std::int64_t>& number) {
    return number.value_or(-1) < 0 ? "*" : fmt::to_string(*number);
}

std::string v1_line(const oci::DeviceRule& rule, std::string_view type) {
    return fmt::format("{} {}:{} {}", type, number_or_star(rule.major), number_or_star(rule.minor),
                       rule.access.empty() ? "rwm" : rule.access);
}

class V1Files {
public:
    static Result<V1Files> open(const std::string& directory) {
        constexpr auto field = "linux.resources.devices";
        V1Files files;
        files.allow_ = TRY(sys::open(directory + "/devices.allow", O_WRONLY).context(field));
        files.deny_ = TRY(sys::open(directory + "/devices.deny", O_WRONLY).context(field));
        return files;
    }
    Result<void> write(const oci::DeviceRule& rule) {
        if (is_catch_all(rule)) return put(rule.allow, "a");
        // "a" with numbers is not a thing in the file: it means both kinds.
        const bool both = rule.type.empty() || rule.type == "a";
        for (const char* type : {"b", "c"})
            if (both || rule.type == type) TRY(put(rule.allow, v1_line(rule, type)));
        return {};
    }

private:
    Result<void> put(bool allow, const std::string& line) {
        if (!seen_.insert((allow ? "+" : "-") + line).second) return {};
        // A repeated line with the opposite between them would count again.
        seen_.erase((allow ? "-" : "+") + line);
        if (::write((allow ? allow_ : deny_).raw(), line.data(), line.size()) < 0)
            return fail_errno("linux.resources.devices: {} \"{}\"", allow ? "allow" : "deny", line);
        return {};
    }
    Fd allow_;
    Fd deny_;
    std::set<std::string> seen_;
};

int bpf(int command, bpf_attr& attributes) {
    return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

Result<Fd> load_program(const std::vector<bpf_insn>& code) {
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = reinterpret_cast<std::uint64_t>(code.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
    attributes.license = reinterpret_cast<std::uint64_t>("Apache-2.0");
    Fd program(bpf(BPF_PROG_LOAD, attributes));
    if (!program)
        return fail_errno("linux.resources.devices: load the program (CONFIG_CGROUP_BPF)");
    return program;
}

struct Attached {
    std::array<std::uint32_t, 64> ids{};
    std::uint32_t count = 0;
};

Result<Attached> attached_programs(FdView group) {
    Attached found;
    bpf_attr attributes{};
    attributes.query.target_fd = static_cast<std::uint32_t>(group.raw());
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = reinterpret_cast<std::uint64_t>(found.ids.data());
    attributes.query.prog_cnt = found.ids.size();
    if (bpf(BPF_PROG_QUERY, attributes) < 0) return fail_errno("list the group's device programs");
    found.count = attributes.query.prog_cnt;
    return found;
}

Result<void> detach(FdView group, std::uint32_t id) {
    bpf_attr by_id{};
    by_id.prog_id = id;
    const Fd program(bpf(BPF_PROG_GET_FD_BY_ID, by_id));
    if (!program) return fail_errno("open device program {}", id);
    bpf_attr attributes{};
    attributes.target_fd = static_cast<std::uint32_t>(group.raw());
    attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.raw());
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_DETACH, attributes) < 0) return fail_errno("detach device program {}", id);
    return {};
}

}  // namespace

Result<void> apply_devices_v1(const std::string& directory,
                              const std::vector<oci::DeviceRule>& rules) {
    auto files = TRY(V1Files::open(directory));
    for (const auto& rule : effective(rules)) TRY(files.write(rule));
    return {};
}

Result<void> apply_devices_v2(const std::string& directory,
                              const std::vector<oci::DeviceRule>& rules) {
    const Fd group = TRY(sys::open(directory, O_RDONLY | O_DIRECTORY));
    const auto code = TRY(compile_device_rules(effective(rules)));
    const Fd program = TRY(load_program(code));
    const auto old = TRY(attached_programs(group));
    bpf_attr attributes{};
    attributes.target_fd = static_cast<std::uint32_t>(group.raw());
    attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.raw());
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (bpf(BPF_PROG_ATTACH, attributes) < 0)
        return fail_errno("linux.resources.devices: attach the program to {}", directory);
    // All attached programs must agree, so the new one is there before the old ones go.
    for (std::uint32_t i = 0; i < old.count; ++i) TRY(detach(group, old.ids[i]));
    return {};
}

Result<void> Group::apply_devices(const std::vector<oci::DeviceRule>& rules) const {
    if (rules.empty()) return {};
    const auto directory = TRY(need(*this, "devices", "linux.resources.devices",
                                    unified_ ? "CONFIG_CGROUP_BPF" : "CONFIG_CGROUP_DEVICE"));
    return unified_ ? apply_devices_v2(directory, rules) : apply_devices_v1(directory, rules);
}

Result<void> Group::apply(const oci::LinuxResources& resources) const {
    TRY(unified_ ? apply_v2(*this, resources) : apply_v1(*this, resources));
    return apply_devices(resources.devices);
}

}  // namespace corten::cgroup
