#include <base/text.hpp>
#include <oci/kernel_names.hpp>
#include <oci/runtime_spec.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <span>
#include <string_view>

namespace corten::oci {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 8> namespace_types{"pid", "network", "mount",  "ipc",
                                                          "uts", "user",    "cgroup", "time"};
constexpr std::array<std::string_view, 8> propagations{
    "", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"};
bool listed(Names names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

Result<void> expect(bool holds, std::string_view field, std::string_view why) {
    if (!holds) return fail(ErrorKind::invalid, "{}: {}", field, why);
    return {};
}

/// Text that ends up in a C string.
Result<void> no_nul(std::string_view text, std::string_view field) {
    return expect(text.find('\0') == text.npos, field, "contains a NUL byte");
}

/// Text for a file of a security module, which takes a line.
Result<void> check_label(std::string_view label, std::string_view field) {
    const bool printable = std::ranges::all_of(
        label, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
    return expect(printable, field, "contains a control character");
}

bool has_dotdot(std::string_view path) {
    return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
           path.find("/../") != path.npos;
}

/// "1.0.2-dev": major 1 is ours, whatever the minor; the pre-releases of 1.0.0 are not.
Result<void> check_version(const std::string& version) {
    int numbers[3] = {};
    const char* at = version.data();
    const char* end = at + version.size();
    for (int i = 0; i < 3; ++i) {
        const auto [next, error] = std::from_chars(at, end, numbers[i]);
        const bool separated = i == 2 || (next != end && *next == '.');
        if (error != std::errc{} || !separated)
            return fail(ErrorKind::invalid, "ociVersion: \"{}\" is not a version like 1.2.0",
                        version);
        at = i == 2 ? next : next + 1;
    }
    if (at != end && *at != '-' && *at != '+')
        return fail(ErrorKind::invalid, "ociVersion: \"{}\" is not a version like 1.2.0", version);
    return expect(numbers[0] == 1, "ociVersion",
                  fmt::format("{} is not supported, this runtime implements {}", version,
                              runtime_spec_version));
}

Result<void> check_user(const User& user) {
    // (uid_t)-1 means "no change" to the kernel: it must never get that far.
    TRY(expect(user.uid != 0xffffffff, "process.user.uid", "4294967295 is not a user"));
    TRY(expect(user.gid != 0xffffffff, "process.user.gid", "4294967295 is not a group"));
    for (auto gid : user.additional_gids)
        TRY(expect(gid != 0xffffffff, "process.user.additionalGids", "4294967295 is not a group"));
    return expect(!user.umask || *user.umask <= 0777, "process.user.umask", "is above 0777");
}

Result<void> check_rlimits(const std::vector<PosixRlimit>& rlimits) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < rlimits.size(); ++i) {
        const auto& limit = rlimits[i];
        const auto field = fmt::format("process.rlimits[{}]", i);
        TRY(value_of(rlimit_types(), limit.type, field + ".type"));
        TRY(expect(seen.insert(limit.type).second, field + ".type",
                   limit.type + " is listed twice"));
        TRY(expect(limit.soft <= limit.hard, field + ".soft", "is above the hard limit"));
    }
    return {};
}

Result<void> check_environment(const std::vector<std::string>& env) {
    for (std::size_t i = 0; i < env.size(); ++i) {
        TRY(no_nul(env[i], fmt::format("process.env[{}]", i)));
        const auto equals = env[i].find('=');
        TRY(expect(equals != 0 && equals != std::string::npos, fmt::format("process.env[{}]", i),
                   "is not NAME=value"));
    }
    return {};
}

Result<void> check_affinity(const ExecCpuAffinity& affinity) {
    TRY(parse_number_list(affinity.initial, last_processor, "process.execCPUAffinity.initial"));
    TRY(parse_number_list(affinity.final, last_processor, "process.execCPUAffinity.final"));
    return {};
}

Result<void> check_scheduling(const Process& process) {
    if (process.scheduler) {
        TRY(value_of(scheduler_policies(), process.scheduler->policy, "process.scheduler.policy"));
        TRY(bits_of(scheduler_flags(), process.scheduler->flags, "process.scheduler.flags"));
    }
    if (process.exec_cpu_affinity) TRY(check_affinity(*process.exec_cpu_affinity));
    if (process.io_priority) {
        TRY(value_of(io_classes(), process.io_priority->priority_class,
                     "process.ioPriority.class"));
        TRY(expect(process.io_priority->priority >= 0 && process.io_priority->priority <= 7,
                   "process.ioPriority.priority", "is not between 0 and 7"));
    }
    return {};
}

/// Each id once, on either side: the kernel says only EINVAL.
Result<void> check_overlaps(const std::vector<IdMapping>& mappings, std::string_view field) {
    for (const auto side : {&IdMapping::container_id, &IdMapping::host_id}) {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  // first, beyond the last
        ranges.reserve(mappings.size());
        for (const auto& map : mappings)
            ranges.emplace_back(map.*side, std::uint64_t{map.*side} + map.size);
        std::ranges::sort(ranges);
        for (std::size_t i = 1; i < ranges.size(); ++i)
            TRY(expect(ranges[i].first >= ranges[i - 1].second, field,
                       fmt::format("id {} is mapped twice", ranges[i].first)));
    }
    return {};
}

Result<void> check_mappings(const std::vector<IdMapping>& mappings, std::string_view field) {
    for (std::size_t i = 0; i < mappings.size(); ++i) {
        const auto& map = mappings[i];
        TRY(expect(map.size > 0, fmt::format("{}[{}].size", field, i), "is 0"));
        const std::uint64_t last = 0xffffffffULL;
        TRY(expect(std::uint64_t{map.container_id} + map.size <= last &&
                       std::uint64_t{map.host_id} + map.size <= last,
                   fmt::format("{}[{}]", field, i), "goes beyond the last id"));
    }
    TRY(expect(mappings.size() <= 340, field, "has more than the kernel's 340 lines"));
    return check_overlaps(mappings, field);
}

Result<void> check_mount(const Mount& mount, std::size_t index) {
    const auto field = fmt::format("mounts[{}]", index);
    TRY(expect(!mount.destination.empty(), field + ".destination", "is empty"));
    TRY(no_nul(mount.destination, field + ".destination"));
    TRY(no_nul(mount.source, field + ".source"));
    TRY(no_nul(mount.type, field + ".type"));
    for (const auto& option : mount.options) TRY(no_nul(option, field + ".options"));
    TRY(check_mappings(mount.uid_mappings, field + ".uidMappings"));
    TRY(check_mappings(mount.gid_mappings, field + ".gidMappings"));
    return expect(mount.uid_mappings.empty() == mount.gid_mappings.empty(), field,
                  "uidMappings and gidMappings go together");
}

Result<void> check_hooks(const std::vector<Hook>& hooks, std::string_view kind) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        const auto field = fmt::format("hooks.{}[{}]", kind, i);
        TRY(expect(hooks[i].path.starts_with('/'), field + ".path", "is not absolute"));
        TRY(expect(!hooks[i].timeout || *hooks[i].timeout > 0, field + ".timeout",
                   "is not above 0"));
    }
    return {};
}

Result<void> check_all_hooks(const Hooks& hooks) {
    TRY(check_hooks(hooks.prestart, "prestart"));
    TRY(check_hooks(hooks.create_runtime, "createRuntime"));
    TRY(check_hooks(hooks.create_container, "createContainer"));
    TRY(check_hooks(hooks.start_container, "startContainer"));
    TRY(check_hooks(hooks.poststart, "poststart"));
    return check_hooks(hooks.poststop, "poststop");
}

Result<void> check_namespaces(const Linux& section) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < section.namespaces.size(); ++i) {
        const auto& entry = section.namespaces[i];
        const auto field = fmt::format("linux.namespaces[{}]", i);
        TRY(expect(listed(namespace_types, entry.type), field + ".type",
                   fmt::format("\"{}\" is not a namespace", entry.type)));
        TRY(expect(seen.insert(entry.type).second, field + ".type",
                   entry.type + " is listed twice"));
        TRY(expect(entry.path.empty() || entry.path.starts_with('/'), field + ".path",
                   "is not absolute"));
    }
    return {};
}

Result<void> check_user_namespace(const Spec& spec) {
    const auto& section = spec.linux_section;
    TRY(check_mappings(section.uid_mappings, "linux.uidMappings"));
    TRY(check_mappings(section.gid_mappings, "linux.gidMappings"));
    const auto* user = find_namespace(spec, "user");
    if (user == nullptr)
        return expect(section.uid_mappings.empty() && section.gid_mappings.empty(),
                      "linux.uidMappings", "there is no user namespace to map in");
    if (!user->path.empty()) return {};
    TRY(expect(!section.uid_mappings.empty(), "linux.uidMappings",
               "a new user namespace needs a mapping"));
    return expect(!section.gid_mappings.empty(), "linux.gidMappings",
                  "a new user namespace needs a mapping");
}

Result<void> check_time_offsets(const Spec& spec) {
    for (const auto& [clock, offset] : spec.linux_section.time_offsets) {
        TRY(expect(clock == "monotonic" || clock == "boottime", "linux.timeOffsets",
                   fmt::format("\"{}\" is neither monotonic nor boottime", clock)));
        TRY(expect(offset.nanosecs < 1'000'000'000, "linux.timeOffsets." + clock + ".nanosecs",
                   "is not below a second"));
    }
    return expect(
        spec.linux_section.time_offsets.empty() || find_namespace(spec, "time") != nullptr,
        "linux.timeOffsets", "needs a time namespace");
}

/// As the kernel's dev_t has them: 12 and 20 bits. More would wrap around to another device.
Result<void> check_numbers(std::int64_t major, std::int64_t minor, const std::string& field) {
    TRY(expect(major >= 0 && major < 1 << 12, field + ".major", "is not between 0 and 4095"));
    return expect(minor >= 0 && minor < 1 << 20, field + ".minor", "is not between 0 and 1048575");
}

Result<void> check_devices(const std::vector<LinuxDevice>& devices) {
    for (std::size_t i = 0; i < devices.size(); ++i) {
        const auto& device = devices[i];
        const auto field = fmt::format("linux.devices[{}]", i);
        TRY(expect(device.path.starts_with('/'), field + ".path", "is not absolute"));
        TRY(expect(!has_dotdot(device.path), field + ".path", "contains \"..\""));
        TRY(no_nul(device.path, field + ".path"));
        TRY(expect(
            device.type == "c" || device.type == "b" || device.type == "u" || device.type == "p",
            field + ".type", fmt::format("\"{}\" is not one of c, b, u, p", device.type)));
        TRY(check_numbers(device.major, device.minor, field));
    }
    return {};
}

Result<void> check_paths(const std::vector<std::string>& paths, std::string_view field) {
    for (std::size_t i = 0; i < paths.size(); ++i) {
        TRY(expect(paths[i].starts_with('/'), fmt::format("{}[{}]", field, i), "is not absolute"));
        TRY(no_nul(paths[i], fmt::format("{}[{}]", field, i)));
    }
    return {};
}

/// Which sysctls exist per namespace (the kernel's Documentation/admin-guide/sysctl).
const char* sysctl_namespace(std::string_view name) {
    static constexpr std::array<std::string_view, 9> ipc{
        "kernel.msgmax", "kernel.msgmnb",          "kernel.msgmni",
        "kernel.sem",    "kernel.shmall",          "kernel.shmmax",
        "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.auto_msgmni"};
    if (listed(ipc, name) || name.starts_with("fs.mqueue.")) return "ipc";
    if (name == "kernel.domainname" || name == "kernel.hostname") return "uts";
    if (name.starts_with("net.")) return "network";
    if (name.starts_with("user.")) return "user";
    return nullptr;
}

Result<void> check_sysctl(const Spec& spec) {
    for (const auto& [name, value] : spec.linux_section.sysctl) {
        std::string dotted = name;
        std::ranges::replace(dotted, '/', '.');
        const auto field = fmt::format("linux.sysctl.{}", name);
        TRY(no_nul(name, field));
        TRY(no_nul(value, field));
        TRY(expect(dotted.find("..") == dotted.npos && !dotted.starts_with('.'), field,
                   "is not a sysctl"));
        // As runc and crun have it: one name, one place to give it.
        TRY(expect(dotted != "kernel.hostname", field,
                   "is not allowed as it conflicts with the OCI \"hostname\" field"));
        TRY(expect(
            dotted != "kernel.domainname" || spec.domainname.empty() || spec.domainname == value,
            field, "conflicts with the OCI \"domainname\" field"));
        const char* type = sysctl_namespace(dotted);
        TRY(expect(type != nullptr, field, "is not in a namespace: it would change the host's"));
        TRY(expect(find_namespace(spec, type) != nullptr, field,
                   fmt::format("needs a {} namespace of its own", type)));
    }
    return {};
}

Result<void> check_memory(const LinuxMemory& memory) {
    const std::pair<const char*, const std::optional<std::int64_t>&> limits[] = {
        {"limit", memory.limit},
        {"swap", memory.swap},
        {"reservation", memory.reservation},
        {"kernel", memory.kernel},
        {"kernelTCP", memory.kernel_tcp}};
    for (const auto& [name, value] : limits)
        TRY(expect(value.value_or(0) >= -1, fmt::format("linux.resources.memory.{}", name),
                   "is negative"));
    return expect(memory.swappiness.value_or(0) <= 100, "linux.resources.memory.swappiness",
                  "is not between 0 and 100");
}

Result<void> check_cpu(const LinuxCpu& cpu) {
    TRY(expect(cpu.quota.value_or(0) >= -1, "linux.resources.cpu.quota", "is negative"));
    // The kernel takes any negative number for no bound at all.
    TRY(expect(cpu.realtime_runtime.value_or(0) >= 0, "linux.resources.cpu.realtimeRuntime",
               "is negative"));
    return expect(cpu.idle.value_or(0) == 0 || cpu.idle == 1, "linux.resources.cpu.idle",
                  "is neither 0 nor 1");
}

/// 0 is no weight.
Result<void> check_weight(const std::optional<std::uint16_t>& weight, const std::string& field) {
    const auto value = weight.value_or(0);
    return expect(value == 0 || (value >= 10 && value <= 1000), field,
                  "is not between 10 and 1000");
}

template <typename Device>
Result<void> check_disks(const std::vector<Device>& devices, const std::string& field) {
    for (std::size_t i = 0; i < devices.size(); ++i)
        TRY(check_numbers(devices[i].major, devices[i].minor, fmt::format("{}[{}]", field, i)));
    return {};
}

Result<void> check_block_io(const LinuxBlockIo& io) {
    const std::string section = "linux.resources.blockIO.";
    TRY(check_weight(io.weight, section + "weight"));
    TRY(check_weight(io.leaf_weight, section + "leafWeight"));
    for (std::size_t i = 0; i < io.weight_device.size(); ++i) {
        const auto field = fmt::format("{}weightDevice[{}]", section, i);
        TRY(check_weight(io.weight_device[i].weight, field + ".weight"));
        TRY(check_weight(io.weight_device[i].leaf_weight, field + ".leafWeight"));
    }
    TRY(check_disks(io.weight_device, section + "weightDevice"));
    TRY(check_disks(io.throttle_read_bps_device, section + "throttleReadBpsDevice"));
    TRY(check_disks(io.throttle_write_bps_device, section + "throttleWriteBpsDevice"));
    TRY(check_disks(io.throttle_read_iops_device, section + "throttleReadIOPSDevice"));
    return check_disks(io.throttle_write_iops_device, section + "throttleWriteIOPSDevice");
}

Result<void> check_device_rules(const std::vector<DeviceRule>& rules) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const auto& rule = rules[i];
        const auto field = fmt::format("linux.resources.devices[{}]", i);
        TRY(expect(rule.type.empty() || rule.type == "a" || rule.type == "b" || rule.type == "c",
                   field + ".type", fmt::format("\"{}\" is not one of a, b, c", rule.type)));
        TRY(expect(rule.access.find_first_not_of("rwm") == std::string::npos, field + ".access",
                   "has other letters than r, w, m"));
        // Left out or -1: all of them.
        TRY(check_numbers(std::max<std::int64_t>(rule.major.value_or(0), 0),
                          std::max<std::int64_t>(rule.minor.value_or(0), 0), field));
    }
    return {};
}

/// A word of a control file's line: with a blank in it, it would be more than one.
Result<void> check_word(std::string_view word, std::string_view field) {
    const bool whole = std::ranges::all_of(
        word, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; });
    return expect(whole && !word.empty(), field, fmt::format("\"{}\" is not one word", word));
}

/// A file of the group's directory.
Result<void> check_unified(const std::map<std::string, std::string>& values) {
    for (const auto& [file, value] : values) {
        TRY(expect(!file.empty() && file.find('/') == std::string::npos && file[0] != '.',
                   "linux.resources.unified", fmt::format("\"{}\" is not a file name", file)));
        TRY(no_nul(file, "linux.resources.unified"));
    }
    return {};
}

Result<void> check_memory_policy(const LinuxMemoryPolicy& policy) {
    TRY(value_of(memory_policy_modes(), policy.mode, "linux.memoryPolicy.mode"));
    TRY(bits_of(memory_policy_flags(), policy.flags, "linux.memoryPolicy.flags"));
    TRY(parse_number_list(policy.nodes, last_memory_node, "linux.memoryPolicy.nodes"));
    return {};
}

/// A name of uts_namespaces(7).
Result<void> check_host_name(const Spec& spec, const std::string& name, std::string_view field) {
    constexpr std::size_t longest = 64;
    TRY(no_nul(name, field));
    TRY(expect(name.size() <= longest, field, "is longer than 64 characters"));
    return expect(name.empty() || find_namespace(spec, "uts") != nullptr, field,
                  "needs a uts namespace of its own");
}

Result<void> check_linux(const Spec& spec) {
    const auto& section = spec.linux_section;
    TRY(check_namespaces(section));
    TRY(check_user_namespace(spec));
    TRY(check_time_offsets(spec));
    TRY(check_devices(section.devices));
    TRY(check_sysctl(spec));
    TRY(check_paths(section.masked_paths, "linux.maskedPaths"));
    TRY(check_paths(section.readonly_paths, "linux.readonlyPaths"));
    TRY(expect(listed(propagations, section.rootfs_propagation), "linux.rootfsPropagation",
               fmt::format("\"{}\" is not a propagation", section.rootfs_propagation)));
    TRY(check_label(section.mount_label, "linux.mountLabel"));
    // It stands in quotes among a mount's options.
    TRY(expect(!section.mount_label.contains('"'), "linux.mountLabel", "contains a quote"));
    TRY(no_nul(section.cgroups_path, "linux.cgroupsPath"));
    TRY(expect(!has_dotdot(section.cgroups_path), "linux.cgroupsPath", "contains \"..\""));
    if (section.personality)
        TRY(expect(
            section.personality->domain == "LINUX" || section.personality->domain == "LINUX32",
            "linux.personality.domain",
            fmt::format("\"{}\" is neither LINUX nor LINUX32", section.personality->domain)));
    if (section.personality)
        TRY(expect(section.personality->flags.empty(), "linux.personality.flags",
                   "none are defined"));
    if (section.memory_policy) TRY(check_memory_policy(*section.memory_policy));
    if (section.resources) TRY(validate(*section.resources));
    const bool isolates = find_namespace(spec, "mount") != nullptr;
    return expect(isolates || (section.masked_paths.empty() && section.readonly_paths.empty()),
                  "linux.maskedPaths", "needs a mount namespace");
}

}  // namespace

Result<void> validate(const Process& process) {
    TRY(expect(!process.args.empty() && !process.args[0].empty(), "process.args", "is empty"));
    for (std::size_t i = 0; i < process.args.size(); ++i)
        TRY(no_nul(process.args[i], fmt::format("process.args[{}]", i)));
    TRY(expect(process.cwd.starts_with('/'), "process.cwd",
               process.cwd.empty() ? "is empty" : "is not absolute"));
    TRY(no_nul(process.cwd, "process.cwd"));
    TRY(check_environment(process.env));
    TRY(check_user(process.user));
    TRY(check_rlimits(process.rlimits));
    const auto adjust = process.oom_score_adj.value_or(0);
    TRY(expect(adjust >= -1000 && adjust <= 1000, "process.oomScoreAdj",
               "is not between -1000 and 1000"));
    TRY(check_label(process.apparmor_profile, "process.apparmorProfile"));
    TRY(check_label(process.selinux_label, "process.selinuxLabel"));
    return check_scheduling(process);
}

Result<void> validate(const LinuxResources& resources) {
    if (resources.memory) TRY(check_memory(*resources.memory));
    if (resources.cpu) TRY(check_cpu(*resources.cpu));
    if (resources.block_io) TRY(check_block_io(*resources.block_io));
    TRY(check_device_rules(resources.devices));
    for (const auto& limit : resources.hugepage_limits) {
        TRY(check_word(limit.page_size, "linux.resources.hugepageLimits"));
        TRY(expect(limit.page_size.find('/') == std::string::npos, "linux.resources.hugepageLimits",
                   fmt::format("\"{}\" is not a size", limit.page_size)));
    }
    if (resources.network)
        for (const auto& entry : resources.network->priorities)
            TRY(check_word(entry.name, "linux.resources.network.priorities"));
    for (const auto& [device, limit] : resources.rdma)
        TRY(check_word(device, "linux.resources.rdma"));
    return check_unified(resources.unified);
}

Result<void> validate(const Spec& spec) {
    TRY(check_version(spec.oci_version));
    TRY(expect(spec.root && !spec.root->path.empty(), "root.path", "is missing"));
    TRY(no_nul(spec.root->path, "root.path"));
    TRY(expect(spec.process.has_value(), "process", "is missing"));
    TRY(validate(*spec.process));
    TRY(check_host_name(spec, spec.hostname, "hostname"));
    TRY(check_host_name(spec, spec.domainname, "domainname"));
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) TRY(check_mount(spec.mounts[i], i));
    if (spec.hooks) TRY(check_all_hooks(*spec.hooks));
    return check_linux(spec);
}

}  // namespace corten::oci
