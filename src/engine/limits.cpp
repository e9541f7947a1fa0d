#include "limits.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/file.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>
#include <cmath>

namespace corten::engine {

namespace {

template <typename... Args>
Error invalid(fmt::format_string<Args...> format, Args&&... args) {
    return fail(ErrorKind::invalid, format, std::forward<Args>(args)...);
}

constexpr std::int64_t least_memory = 6 << 20;

Result<void> check_memory(apitypes::HostConfig& host) {
    if (host.memory < 0) return invalid("invalid memory limit: {} is negative", host.memory);
    if (host.memory > 0 && host.memory < least_memory)
        return invalid("Minimum memory limit allowed is 6MB");
    if (host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory)
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    if (host.memory == 0 && host.memory_swap > 0)
        return invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (host.memory_swap < -1) return invalid("invalid memory-swap: {}", host.memory_swap);
    if (host.memory_reservation < 0)
        return invalid("invalid memory reservation: {}", host.memory_reservation);
    if (host.memory > 0 && host.memory_reservation > host.memory)
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    if (host.memory_reservation > 0 && host.memory_reservation < least_memory)
        return invalid("Minimum memory reservation allowed is 6MB");
    if (host.memory_swappiness == -1) host.memory_swappiness.reset();
    if (host.memory_swappiness && (*host.memory_swappiness < 0 || *host.memory_swappiness > 100))
        return invalid("Invalid value: {}, valid memory swappiness range is 0-100",
                       *host.memory_swappiness);
    if (host.memory > 0 && host.memory_swap == 0) host.memory_swap = host.memory * 2;
    return {};
}

Result<void> check_cpu(const apitypes::HostConfig& host, const HostFacts& facts) {
    if (host.nano_cpus != 0) {
        if (host.cpu_period != 0)
            return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        if (host.cpu_quota != 0)
            return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        if (host.nano_cpus < 10'000'000 ||
            host.nano_cpus > facts.cpu_count * std::int64_t{1'000'000'000})
            return invalid(
                "Range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available",
                facts.cpu_count, facts.cpu_count);
    }
    if (host.cpu_period != 0 && (host.cpu_period < 1000 || host.cpu_period > 1'000'000))
        return invalid(
            "CPU cfs period cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    if (host.cpu_quota > 0 && host.cpu_quota < 1000)
        return invalid("CPU cfs quota cannot be less than 1ms (i.e. 1000)");
    if (host.cpu_shares < 0)
        return invalid("invalid CPU shares ({}): value must be a positive integer",
                       host.cpu_shares);
    if (host.cpu_realtime_period < 0 || host.cpu_realtime_runtime < 0)
        return invalid("invalid CPU real-time period or runtime: it is negative");
    if (host.cpu_realtime_period != 0 && host.cpu_realtime_runtime > host.cpu_realtime_period)
        return invalid("cpu real-time runtime cannot be higher than cpu real-time period");
    return {};
}

constexpr std::int64_t highest_cpu = 8192;
constexpr std::size_t longest_cpu_list = 32 << 10;
using CpuSet = std::bitset<highest_cpu + 1>;

/// "0-3,7" to numbers; bounded, so that "0-4000000000" is refused instead of stored
/// (CVE-2018-20699).
Result<CpuSet> parse_cpu_list(std::string_view text, std::string_view what) {
    if (text.size() > longest_cpu_list)
        return invalid("Invalid value for {}: longer than {} bytes", what, longest_cpu_list);
    CpuSet numbers;
    for (const auto& part : split(text, ',')) {
        const auto [low, high] = split_once(part, '-');
        const auto first = parse_integer(low, what);
        const auto last = part.find('-') == std::string::npos ? parse_integer(low, what)
                                                              : parse_integer(high, what);
        if (!first || !last || *first < 0 || *last < *first || *last > highest_cpu)
            return invalid("Invalid value {} for {}", text, what);
        for (auto n = *first; n <= *last; ++n) numbers.set(static_cast<std::size_t>(n));
    }
    return numbers;
}

Result<void> check_cpuset(const std::string& asked, const std::string& online,
                          std::string_view what, std::string_view things) {
    if (asked.empty()) return {};
    const auto wanted = TRY(parse_cpu_list(asked, what));
    const auto there = TRY(parse_cpu_list(online, what));
    if ((wanted & ~there).any())
        return invalid("Requested {} are not available - requested {}, available: {}", things,
                       asked, online);
    return {};
}

}  // namespace

Result<void> check_limits(apitypes::HostConfig& host, const HostFacts& facts) {
    TRY(check_memory(host));
    TRY(check_cpu(host, facts));
    TRY(check_cpuset(host.cpuset_cpus, facts.online_cpus, "cpuset cpus", "CPUs"));
    TRY(check_cpuset(host.cpuset_mems, facts.online_mems, "cpuset mems", "memory nodes"));
    if (host.blkio_weight != 0 && (host.blkio_weight < 10 || host.blkio_weight > 1000))
        return invalid("Range of blkio weight is from 10 to 1000");
    if (host.oom_score_adj < -1000 || host.oom_score_adj > 1000)
        return invalid("Invalid value {}, range for oom score adj is [-1000, 1000]",
                       host.oom_score_adj);
    if (host.shm_size < 0) return invalid("SHM size can not be less than 0");
    if (host.pids_limit == 0) host.pids_limit.reset();
    if (host.kernel_memory != 0)
        return fail(ErrorKind::unsupported, "--kernel-memory: the kernel has dropped this limit");
    if (host.kernel_memory_tcp != 0)
        return fail(ErrorKind::not_built, "KernelMemoryTCP is not implemented");
    for (const auto& request : apitypes::items(host.device_requests))
        return fail(ErrorKind::not_built,
                    "device requests (--gpus, driver \"{}\") are not implemented", request.driver);
    return {};
}

namespace {

std::optional<oci::LinuxMemory> memory_of(const apitypes::Resources& limits) {
    oci::LinuxMemory memory;
    if (limits.memory > 0) memory.limit = limits.memory;
    if (limits.memory_swap != 0) memory.swap = limits.memory_swap;
    if (limits.memory_reservation > 0) memory.reservation = limits.memory_reservation;
    if (limits.memory_swappiness)
        memory.swappiness = static_cast<std::uint64_t>(*limits.memory_swappiness);
    if (limits.oom_kill_disable.value_or(false)) memory.disable_oom_killer = true;
    const bool any = memory.limit || memory.swap || memory.reservation || memory.swappiness ||
                     memory.disable_oom_killer;
    if (!any) return {};
    return memory;
}

std::optional<oci::LinuxCpu> cpu_of(const apitypes::Resources& limits) {
    oci::LinuxCpu cpu;
    if (limits.cpu_shares > 0) cpu.shares = static_cast<std::uint64_t>(limits.cpu_shares);
    if (limits.cpu_period > 0) cpu.period = static_cast<std::uint64_t>(limits.cpu_period);
    if (limits.cpu_quota != 0) cpu.quota = limits.cpu_quota;
    if (limits.nano_cpus > 0) {
        constexpr std::int64_t period = 100'000;
        cpu.period = period;
        cpu.quota = limits.nano_cpus * period / 1'000'000'000;
    }
    if (limits.cpu_realtime_period > 0)
        cpu.realtime_period = static_cast<std::uint64_t>(limits.cpu_realtime_period);
    if (limits.cpu_realtime_runtime > 0) cpu.realtime_runtime = limits.cpu_realtime_runtime;
    cpu.cpus = limits.cpuset_cpus;
    cpu.mems = limits.cpuset_mems;
    const bool any = cpu.shares || cpu.period || cpu.quota || cpu.realtime_period ||
                     cpu.realtime_runtime || !cpu.cpus.empty() || !cpu.mems.empty();
    if (!any) return {};
    return cpu;
}

Result<struct ::stat> device_status(const std::string& path) {
    struct ::stat status{};
    if (::stat(path.c_str(), &status) < 0)
        return fail_errno("stat {}", path).with_kind(ErrorKind::invalid);
    if (!S_ISBLK(status.st_mode) && !S_ISCHR(status.st_mode))
        return invalid("{} is not a device", path);
    return status;
}

Result<std::vector<oci::ThrottleDevice>> throttles(
    const std::optional<std::vector<apitypes::ThrottleDevice>>& list) {
    std::vector<oci::ThrottleDevice> out;
    for (const auto& entry : apitypes::items(list)) {
        const auto status = TRY(device_status(entry.path));
        out.push_back(
            {.major = major(status.st_rdev), .minor = minor(status.st_rdev), .rate = entry.rate});
    }
    return out;
}

Result<std::optional<oci::LinuxBlockIo>> block_io_of(const apitypes::Resources& limits) {
    oci::LinuxBlockIo io;
    if (limits.blkio_weight > 0) io.weight = limits.blkio_weight;
    for (const auto& entry : apitypes::items(limits.blkio_weight_device)) {
        const auto status = TRY(device_status(entry.path));
        io.weight_device.push_back({.major = major(status.st_rdev),
                                    .minor = minor(status.st_rdev),
                                    .weight = entry.weight,
                                    .leaf_weight = {}});
    }
    io.throttle_read_bps_device = TRY(throttles(limits.blkio_device_read_bps));
    io.throttle_write_bps_device = TRY(throttles(limits.blkio_device_write_bps));
    io.throttle_read_iops_device = TRY(throttles(limits.blkio_device_read_iops));
    io.throttle_write_iops_device = TRY(throttles(limits.blkio_device_write_iops));
    const bool any =
        io.weight || !io.weight_device.empty() || !io.throttle_read_bps_device.empty() ||
        !io.throttle_write_bps_device.empty() || !io.throttle_read_iops_device.empty() ||
        !io.throttle_write_iops_device.empty();
    if (!any) return std::optional<oci::LinuxBlockIo>();
    return std::optional(std::move(io));
}

}  // namespace

Result<std::uint64_t> storage_limit(const apitypes::HostConfig& host) {
    std::uint64_t bytes = 0;
    for (const auto& [key, value] : host.storage_opt) {
        if (key != "size")
            return invalid("--storage-opt {}={}: unknown option, wanted size=BYTES", key, value);
        const auto size = TRY(parse_size(value, "--storage-opt size"));
        if (size <= 0) return invalid("--storage-opt size={}: wanted more than 0 bytes", value);
        bytes = static_cast<std::uint64_t>(size);
    }
    return bytes;
}

Result<oci::LinuxResources> linux_resources(const apitypes::Resources& limits) {
    oci::LinuxResources resources;
    resources.memory = memory_of(limits);
    resources.cpu = cpu_of(limits);
    if (limits.pids_limit) resources.pids = oci::LinuxPids{.limit = limits.pids_limit};
    resources.block_io = TRY(block_io_of(limits));
    return resources;
}

namespace {

struct RlimitName {
    std::string_view name;
    __rlimit_resource_t resource;
};
constexpr std::array rlimit_names = std::to_array<RlimitName>({{"as", RLIMIT_AS},
                                                               {"core", RLIMIT_CORE},
                                                               {"cpu", RLIMIT_CPU},
                                                               {"data", RLIMIT_DATA},
                                                               {"fsize", RLIMIT_FSIZE},
                                                               {"locks", RLIMIT_LOCKS},
                                                               {"memlock", RLIMIT_MEMLOCK},
                                                               {"msgqueue", RLIMIT_MSGQUEUE},
                                                               {"nice", RLIMIT_NICE},
                                                               {"nofile", RLIMIT_NOFILE},
                                                               {"nproc", RLIMIT_NPROC},
                                                               {"rss", RLIMIT_RSS},
                                                               {"rtprio", RLIMIT_RTPRIO},
                                                               {"rttime", RLIMIT_RTTIME},
                                                               {"sigpending", RLIMIT_SIGPENDING},
                                                               {"stack", RLIMIT_STACK}});

/// Without CAP_SYS_RESOURCE no hard limit goes above the one that the daemon has itself.
apitypes::Ulimit lowered(apitypes::Ulimit limit) {
    const auto* known = std::ranges::find(rlimit_names, limit.name, &RlimitName::name);
    rlimit own{};
    if (known == rlimit_names.end() || ::getrlimit(known->resource, &own) < 0) return limit;
    const auto at_most = [&](std::int64_t value) {
        // -1 is unlimited, which is the largest as the kernel counts.
        return static_cast<std::int64_t>(
            std::min<rlim_t>(static_cast<rlim_t>(value), own.rlim_max));
    };
    limit.hard = at_most(limit.hard);
    limit.soft = at_most(limit.soft);
    return limit;
}

}  // namespace

std::vector<apitypes::Ulimit> with_default_ulimits(
    const apitypes::Resources& asked, const std::map<std::string, Config::Ulimit>& defaults,
    const HostFacts& facts) {
    std::vector<apitypes::Ulimit> limits = apitypes::items(asked.ulimits);
    for (const auto& [name, limit] : defaults) {
        if (std::ranges::find(limits, name, &apitypes::Ulimit::name) != limits.end()) continue;
        const apitypes::Ulimit wanted{.name = name, .hard = limit.hard, .soft = limit.soft};
        limits.push_back(facts.sys_resource ? wanted : lowered(wanted));
    }
    return limits;
}

std::optional<int> oom_score(const apitypes::HostConfig& host, const HostFacts& facts) {
    const bool is_default = host.oom_score_adj == 0;
    if (is_default && facts.oom_score_adj > 0 && !facts.sys_resource) return {};
    return host.oom_score_adj;
}

Result<std::vector<oci::PosixRlimit>> posix_rlimits(const std::vector<apitypes::Ulimit>& ulimits) {
    std::vector<oci::PosixRlimit> out;
    for (const auto& limit : ulimits) {
        if (std::ranges::find(rlimit_names, limit.name, &RlimitName::name) == rlimit_names.end())
            return invalid("invalid ulimit type: {}", limit.name);
        const auto soft = static_cast<std::uint64_t>(limit.soft);  // -1 is the kernel's "unlimited"
        const auto hard = static_cast<std::uint64_t>(limit.hard);
        if (soft > hard)
            return invalid("ulimit {}: soft limit {} is above the hard limit {}", limit.name,
                           limit.soft, limit.hard);
        std::string type = "RLIMIT_" + limit.name;
        std::ranges::transform(type, type.begin(), [](char c) {
            return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        });
        out.push_back({.type = std::move(type), .hard = hard, .soft = soft});
    }
    return out;
}

namespace {

oci::DeviceRule rule(bool allow, std::string type, std::optional<std::int64_t> major,
                     std::optional<std::int64_t> minor, std::string access) {
    return {.allow = allow,
            .type = std::move(type),
            .major = major,
            .minor = minor,
            .access = std::move(access)};
}

/// Deny all, then the harmless character devices every container has.
std::vector<oci::DeviceRule> default_device_rules() {
    return {
        rule(false, "a", {}, {}, "rwm"), rule(true, "c", 1, 5, "rwm"), rule(true, "c", 1, 3, "rwm"),
        rule(true, "c", 1, 9, "rwm"),    rule(true, "c", 1, 8, "rwm"), rule(true, "c", 1, 7, "rwm"),
        rule(true, "c", 5, 0, "rwm"),    rule(true, "c", 5, 1, "rwm"), rule(true, "c", 5, 2, "rwm"),
        rule(true, "c", 136, {}, "rwm"), rule(true, "c", {}, {}, "m"), rule(true, "b", {}, {}, "m"),
        rule(false, "c", 10, 229, "rwm")};
}

Result<std::string> checked_permissions(const apitypes::DeviceMapping& mapping) {
    const std::string& access = mapping.cgroup_permissions;
    if (access.empty()) return std::string("rwm");
    if (access.find_first_not_of("rwm") != std::string::npos || access.size() > 3)
        return invalid("invalid device mode: {}", access);
    return access;
}

oci::LinuxDevice node_of(const struct ::stat& status, std::string path) {
    return {.path = std::move(path),
            .type = S_ISBLK(status.st_mode) ? "b" : "c",
            .major = major(status.st_rdev),
            .minor = minor(status.st_rdev),
            .file_mode = status.st_mode & 07777,
            .uid = status.st_uid,
            .gid = status.st_gid};
}

void add_device(DevicePlan& plan, const struct ::stat& status, const std::string& path,
                const std::string& access) {
    auto node = node_of(status, path);
    plan.rules.push_back(rule(true, node.type, node.major, node.minor, access));
    plan.nodes.push_back(std::move(node));
}

/// A directory of devices gives all that are in it, as with docker's --device /dev/snd.
Result<void> add_device_directory(DevicePlan& plan, const std::string& from, const std::string& to,
                                  const std::string& access) {
    for (const auto& name : TRY(sys::list_directory(from))) {
        struct ::stat status{};
        const std::string path = from + "/" + name;
        if (::stat(path.c_str(), &status) < 0) continue;  // gone since it was listed
        if (S_ISDIR(status.st_mode)) TRY(add_device_directory(plan, path, to + "/" + name, access));
        if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
            add_device(plan, status, to + "/" + name, access);
    }
    return {};
}

Result<void> add_mapping(DevicePlan& plan, const apitypes::DeviceMapping& mapping) {
    const std::string access = TRY(checked_permissions(mapping));
    const std::string target =
        mapping.path_in_container.empty() ? mapping.path_on_host : mapping.path_in_container;
    if (!target.starts_with('/'))
        return invalid("invalid device path in the container: \"{}\"", target);
    struct ::stat status{};
    if (::stat(mapping.path_on_host.c_str(), &status) < 0)
        return fail(ErrorKind::invalid,
                    "error gathering device information while adding custom device \"{}\": no such "
                    "file or directory",
                    mapping.path_on_host);
    if (S_ISDIR(status.st_mode))
        return add_device_directory(plan, mapping.path_on_host, target, access);
    if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
        return invalid(
            "error gathering device information while adding custom device \"{}\": not a device "
            "node",
            mapping.path_on_host);
    add_device(plan, status, target, access);
    return {};
}

/// "c 1:3 rwm", with * for a number.
Result<oci::DeviceRule> parse_device_rule(const std::string& text) {
    const auto bad = [&] { return invalid("invalid device cgroup rule format: '{}'", text); };
    const auto words = split(text, ' ');
    if (words.size() != 3 || (words[0] != "a" && words[0] != "b" && words[0] != "c")) return bad();
    if (words[2].empty() || words[2].find_first_not_of("rwm") != std::string::npos) return bad();
    const auto [major_text, minor_text] = split_once(words[1], ':');
    std::optional<std::int64_t> numbers[2];
    const std::string_view texts[2] = {major_text, minor_text};
    for (int i = 0; i < 2; ++i) {
        if (texts[i] == "*") continue;
        const auto number = parse_integer(texts[i], "device number");
        if (!number || *number < 0) return bad();
        numbers[i] = *number;
    }
    return rule(true, words[0], numbers[0], numbers[1], words[2]);
}

/// The host's devices that a privileged container gets; terminals and shared memory are its own.
Result<void> add_host_devices(DevicePlan& plan, const std::string& directory) {
    for (const auto& name : TRY(sys::list_directory(directory))) {
        const std::string path = directory + "/" + name;
        struct ::stat status{};
        if (::lstat(path.c_str(), &status) < 0) continue;  // gone since it was listed
        if (S_ISDIR(status.st_mode)) {
            if (name != "pts" && name != "shm" && name != "fd" && name != "mqueue" &&
                name != ".udev")
                TRY(add_host_devices(plan, path));
        } else if ((S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) && path != "/dev/console") {
            plan.nodes.push_back(node_of(status, path));
        }
    }
    return {};
}

}  // namespace

Result<DevicePlan> plan_devices(const apitypes::HostConfig& host) {
    DevicePlan plan;
    if (host.privileged) {
        TRY(add_host_devices(plan, "/dev"));
        plan.rules = {rule(true, "a", {}, {}, "rwm")};
    } else {
        plan.rules = default_device_rules();
    }
    for (const auto& mapping : apitypes::items(host.devices)) TRY(add_mapping(plan, mapping));
    for (const auto& text : apitypes::items(host.device_cgroup_rules))
        plan.rules.push_back(TRY(parse_device_rule(text)));
    return plan;
}

}  // namespace corten::engine
