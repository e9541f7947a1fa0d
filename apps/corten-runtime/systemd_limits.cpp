#include "systemd_limits.hpp"

#include <base/text.hpp>
#include <oci/kernel_names.hpp>
#include <runtime/group_limits.hpp>
#include <sys/file.hpp>

#include <cgroup/convert.hpp>

#include <limits>
#include <optional>

namespace corten::runtime_cli {
namespace {

constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();  // systemd's "infinity"
constexpr std::uint64_t second = 1000000;                              // in microseconds
constexpr std::uint64_t usual_period = 100000, quota_step = 10000;     // in microseconds
constexpr std::uint64_t idle_weight = 0;

std::uint64_t or_unlimited(std::int64_t value) {
    return value < 0 ? unlimited : static_cast<std::uint64_t>(value);
}

/// What systemd calls the limits of v1 is deprecated, and the only thing that it writes there.
void add_memory(BusProperties& out, const oci::LinuxMemory& memory, bool v2) {
    if (memory.limit.value_or(0) != 0)
        out.emplace_back(v2 ? "MemoryMax" : "MemoryLimit", or_unlimited(*memory.limit));
    if (!v2) return;  // the rest is for files
    if (memory.reservation.value_or(0) != 0)
        out.emplace_back("MemoryLow", or_unlimited(*memory.reservation));
    const auto swap = memory.swap.value_or(0);
    if (swap < 0 || (swap == 0 && memory.limit.value_or(0) < 0))  // without a limit none on swap
        out.emplace_back("MemorySwapMax", unlimited);
    else if (memory.swap && memory.limit.value_or(0) > 0 && *memory.swap >= *memory.limit)
        out.emplace_back("MemorySwapMax", or_unlimited(*memory.swap - *memory.limit));
}

/// systemd counts the quota for a second, in whole percents of a processor.
void add_bandwidth(BusProperties& out, std::int64_t quota, std::uint64_t period) {
    if (period != 0) out.emplace_back("CPUQuotaPeriodUSec", period);
    if (quota == 0) return;
    if (quota < 0) {
        out.emplace_back("CPUQuotaPerSecUSec", unlimited);
        return;
    }
    const auto each =
        static_cast<std::uint64_t>(quota) * second / (period != 0 ? period : usual_period);
    out.emplace_back("CPUQuotaPerSecUSec", (each + quota_step - 1) / quota_step * quota_step);
}

/// A set of numbers is a bit for each, the lowest first.
void add_set(BusProperties& out, const char* property, std::string_view list, unsigned last) {
    const auto numbers = oci::parse_number_list(list, last, property);
    if (!numbers || numbers->empty()) return;
    BusBytes bits;
    for (const auto number : *numbers) {
        if (number / 8 >= bits.size()) bits.resize(number / 8 + 1);
        bits[number / 8] |= static_cast<std::uint8_t>(1U << number % 8);
    }
    out.emplace_back(property, std::move(bits));
}

void add_cpuset(BusProperties& out, std::string_view cpus, std::string_view mems) {
    add_set(out, "AllowedCPUs", cpus, oci::last_processor);
    add_set(out, "AllowedMemoryNodes", mems, oci::last_memory_node);
}

void add_cpu(BusProperties& out, const oci::LinuxCpu& cpu, const LimitsHost& host) {
    const auto shares = cpu.shares.value_or(0);
    const bool idle = host.v2 && cpu.idle.value_or(0) != 0;
    if (idle && host.knows_idle)
        out.emplace_back("CPUWeight", idle_weight);
    else if (shares != 0 && !idle)
        out.emplace_back(host.v2 ? "CPUWeight" : "CPUShares",
                         host.v2 ? cgroup::weight_from_shares(shares) : shares);
    add_bandwidth(out, cpu.quota.value_or(0), cpu.period.value_or(0));
    if (host.v2) add_cpuset(out, cpu.cpus, cpu.mems);
}

/// systemd makes a weight of BFQ, of 1 to 1000, of its own, of 1 to 10000: above 100, the usual one
/// of both, a step of BFQ's is eleven of its.
std::uint64_t io_weight(std::uint16_t weight, bool bfq) {
    if (!bfq) return cgroup::io_weight_from_blkio(weight);
    return weight <= 100 ? weight : 100 + (std::uint64_t{weight} - 100) * 11;
}

void add_block_io(BusProperties& out, const oci::LinuxBlockIo& io, const LimitsHost& host) {
    const auto weight = io.weight.value_or(0);
    if (weight == 0) return;
    if (host.v2)
        out.emplace_back("IOWeight", io_weight(weight, host.has_bfq));
    else
        out.emplace_back("BlockIOWeight", std::uint64_t{weight});
}

/// As the kernel reads what is written to a file: "max", or a number with K, M, G, T, P or E.
std::optional<std::uint64_t> file_number(std::string_view text) {
    text = trim(text);
    if (text == "max") return unlimited;
    constexpr std::string_view suffixes = "kmgtpe";
    const auto suffix = text.empty() ? text.npos : suffixes.find(to_lower(text).back());
    const std::size_t power = suffix == text.npos ? 0 : suffix + 1;
    if (power != 0) text.remove_suffix(1);
    const auto number = parse_integer(text, "number");
    if (!number || *number < 0) return std::nullopt;
    const auto value = static_cast<std::uint64_t>(*number);
    if (value > unlimited >> 10 * power) return std::nullopt;
    return value << 10 * power;
}

/// "QUOTA PERIOD", "max" for no quota, and the usual period when there is none.
void add_cpu_max(BusProperties& out, std::string_view text) {
    const auto [quota, period] = split_once(trim(text), ' ');
    const auto length = period.empty() ? usual_period : file_number(period).value_or(0);
    const auto share = file_number(quota);
    if (!share || length == 0) return;
    add_bandwidth(out, *share == unlimited ? -1 : static_cast<std::int64_t>(*share), length);
}

/// A file of v2 by its name, and what systemd calls the limit in it.
constexpr std::pair<std::string_view, const char*> numbers_of_files[] = {
    {"memory.min", "MemoryMin"}, {"memory.low", "MemoryLow"}, {"memory.high", "MemoryHigh"},
    {"memory.max", "MemoryMax"}, {"pids.max", "TasksMax"},    {"memory.swap.max", "MemorySwapMax"},
    {"cpu.weight", "CPUWeight"}, {"io.weight", "IOWeight"},
};

constexpr std::string_view every_device = "default ";  // of io.weight

void add_file(BusProperties& out, std::string_view file, std::string_view value,
              const LimitsHost& host) {
    if (file == "cpu.max") add_cpu_max(out, value);
    if (file == "cpu.idle" && trim(value) == "1" && host.knows_idle)
        out.emplace_back("CPUWeight", idle_weight);
    if (file == "cpuset.cpus") add_cpuset(out, trim(value), "");
    if (file == "cpuset.mems") add_cpuset(out, "", trim(value));
    if (file == "io.weight" && value.starts_with(every_device))
        value.remove_prefix(every_device.size());
    for (const auto& [name, property] : numbers_of_files)
        if (const auto number = file == name ? file_number(value) : std::nullopt)
            out.emplace_back(property, *number);
}

/// As systemd.resource-control(5) names devices; "" for a driver that the kernel does not have.
std::string device_name(char type, const oci::DeviceRule& rule, std::string_view devices) {
    const std::string_view kind = type == 'c' ? "char" : "block";
    const auto major = rule.major.value_or(-1), minor = rule.minor.value_or(-1);
    if (major < 0) return fmt::format("{}-*", kind);
    if (minor >= 0) return fmt::format("/dev/{}/{}:{}", kind, major, minor);
    const auto driver = driver_name(devices, type, major);
    return driver.empty() ? "" : fmt::format("{}-{}", kind, driver);
}

bool overlap(const oci::DeviceRule& one, const oci::DeviceRule& other) {
    const auto meet = [](const auto& a, const auto& b) {
        return a.value_or(-1) < 0 || b.value_or(-1) < 0 || *a == *b;
    };
    const auto both = [](const std::string& type) { return type.empty() || type == "a"; };
    return (both(one.type) || both(other.type) || one.type == other.type) &&
           meet(one.major, other.major) && meet(one.minor, other.minor);
}

}  // namespace

BusProperties unit_limits(const oci::LinuxResources& resources, const LimitsHost& host) {
    BusProperties out;
    if (resources.memory) add_memory(out, *resources.memory, host.v2);
    if (resources.cpu) add_cpu(out, *resources.cpu, host);
    if (resources.block_io) add_block_io(out, *resources.block_io, host);
    if (resources.pids && resources.pids->limit)
        out.emplace_back("TasksMax", *resources.pids->limit > 0
                                         ? or_unlimited(*resources.pids->limit)
                                         : unlimited);
    if (host.v2)  // later than the others, as in the group's files
        for (const auto& [file, value] : resources.unified) add_file(out, file, value, host);
    return out;
}

/// systemd writes its rules into v1's file whenever it likes: they have to be the container's. It
/// can only allow; what a later rule denies in part it is not told of, so that it opens nothing.
Result<BusProperties> unit_devices(const oci::Spec& spec) {
    const auto rules = runtime::device_rules(spec);
    if (rules.empty()) return BusProperties();
    std::vector<oci::DeviceRule> allowed;
    for (const auto& rule : rules) {
        if (rule.allow)
            allowed.push_back(rule);
        else
            std::erase_if(allowed, [&](const auto& earlier) { return overlap(earlier, rule); });
    }
    const auto devices = TRY(sys::read_file("/proc/devices"));
    BusPairs names;
    for (const auto& rule : allowed)
        for (const char type : {'c', 'b'}) {
            if (rule.type.size() == 1 && rule.type[0] != 'a' && rule.type[0] != type) continue;
            const auto name = device_name(type, rule, devices);
            if (!name.empty()) names.emplace_back(name, rule.access.empty() ? "rwm" : rule.access);
        }
    return BusProperties{{"DevicePolicy", "strict"}, {"DeviceAllow", std::move(names)}};
}

std::string driver_name(std::string_view devices, char type, std::int64_t major) {
    const std::string_view heading = type == 'c' ? "Character devices:" : "Block devices:";
    bool ours = false;
    for (const auto& line : split(devices, '\n')) {
        const auto [number, name] = split_once(trim(line), ' ');
        if (line.ends_with(':')) ours = line == heading;
        if (ours && number == fmt::to_string(major)) return std::string(name);
    }
    return "";
}

}  // namespace corten::runtime_cli
