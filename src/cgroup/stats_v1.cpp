#include "files.hpp"
#include "read_stats.hpp"

#include <base/text.hpp>

#include <unistd.h>

namespace corten::cgroup {
namespace {

std::uint64_t number(const std::string& directory, std::string_view file) {
    return read_number(directory, file).value_or(0);
}

/// cpuacct.stat counts in clock ticks, which user space always sees as 1/100 s.
std::uint64_t ticks_to_ns(std::uint64_t ticks) {
    return ticks * (1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

void read_cpu_accounting(const std::string& directory, CpuStats& cpu) {
    cpu.usage_ns = number(directory, "cpuacct.usage");
    for (const auto& part :
         split(read_control(directory, "cpuacct.usage_percpu").value_or(""), ' '))
        if (const auto value = to_number(part)) cpu.per_cpu_ns.push_back(*value);
    const auto split_usage = read_flat_keyed(directory, "cpuacct.stat");
    if (const auto it = split_usage.find("user"); it != split_usage.end())
        cpu.user_ns = ticks_to_ns(it->second);
    if (const auto it = split_usage.find("system"); it != split_usage.end())
        cpu.system_ns = ticks_to_ns(it->second);
}

void read_throttling(const std::string& directory, CpuStats& cpu) {
    auto values = read_flat_keyed(directory, "cpu.stat");
    cpu.periods = values["nr_periods"];
    cpu.throttled_periods = values["nr_throttled"];
    cpu.throttled_ns = values["throttled_time"];
}

MemoryStats read_memory(const std::string& directory) {
    MemoryStats memory;
    memory.usage = number(directory, "memory.usage_in_bytes");
    memory.max_usage = number(directory, "memory.max_usage_in_bytes");
    memory.limit = number(directory, "memory.limit_in_bytes");
    memory.fail_count = number(directory, "memory.failcnt");
    const auto both = number(directory, "memory.memsw.usage_in_bytes");
    memory.swap_usage = both > memory.usage ? both - memory.usage : 0;
    memory.swap_limit = number(directory, "memory.memsw.limit_in_bytes");
    memory.kernel_usage = number(directory, "memory.kmem.usage_in_bytes");
    memory.tcp_usage = number(directory, "memory.kmem.tcp.usage_in_bytes");
    memory.tcp_max_usage = number(directory, "memory.kmem.tcp.max_usage_in_bytes");
    memory.tcp_limit = number(directory, "memory.kmem.tcp.limit_in_bytes");
    memory.tcp_fail_count = number(directory, "memory.kmem.tcp.failcnt");
    memory.stat = read_flat_keyed(directory, "memory.stat");
    auto oom = read_flat_keyed(directory, "memory.oom_control");
    memory.oom_kills = oom["oom_kill"];
    return memory;
}

/// "8:0 Read 4096" or, for the files without an operation, "8:0 12".
std::vector<BlockIoEntry> read_block_file(const std::string& directory, std::string_view file) {
    std::vector<BlockIoEntry> entries;
    for (const auto& line : split(read_control(directory, file).value_or(""), '\n')) {
        const auto fields = split(line, ' ');
        const auto [major, minor] = split_once(fields[0], ':');
        const auto value = to_number(fields.back());
        if (fields.size() < 2 || minor.empty() || !value) continue;  // the "Total 0" line
        entries.push_back({to_number(major).value_or(0), to_number(minor).value_or(0),
                           fields.size() > 2 ? fields[1] : "", *value});
    }
    return entries;
}

/// BFQ and CFQ fill the plain files, the throttling layer its own; the former say more.
std::vector<BlockIoEntry> read_block(const std::string& directory, std::string_view name) {
    for (const char* prefix : {"blkio.bfq.", "blkio.", "blkio.throttle."}) {
        auto entries = read_block_file(directory, fmt::format("{}{}_recursive", prefix, name));
        if (entries.empty())
            entries = read_block_file(directory, fmt::format("{}{}", prefix, name));
        if (!entries.empty()) return entries;
    }
    return {};
}

BlockIoStats read_block_io(const std::string& directory) {
    return {.service_bytes = read_block(directory, "io_service_bytes"),
            .serviced = read_block(directory, "io_serviced"),
            .queued = read_block(directory, "io_queued"),
            .service_time = read_block(directory, "io_service_time"),
            .wait_time = read_block(directory, "io_wait_time"),
            .merged = read_block(directory, "io_merged"),
            .time = read_block(directory, "time"),
            .sectors = read_block(directory, "sectors")};
}

CpusetStats read_cpuset(const std::string& directory) {
    CpusetStats cpuset{.cpus = read_control(directory, "cpuset.cpus").value_or(""),
                       .mems = read_control(directory, "cpuset.mems").value_or("")};
    for (const char* name : {"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate",
                             "memory_spread_page", "memory_spread_slab", "memory_pressure",
                             "sched_load_balance", "sched_relax_domain_level"}) {
        const auto text = read_control(directory, fmt::format("cpuset.{}", name)).value_or("");
        if (const auto value = parse_integer(text, name)) cpuset.switches[name] = *value;
    }
    return cpuset;
}

HugetlbStats read_hugetlb(const std::string& directory, std::string_view size) {
    const auto file = [&](std::string_view name) {
        return fmt::format("hugetlb.{}.{}", size, name);
    };
    return {.usage = number(directory, file("usage_in_bytes")),
            .max_usage = number(directory, file("max_usage_in_bytes")),
            .fail_count = number(directory, file("failcnt"))};
}

PidsStats read_pids(const std::string& directory) {
    const auto limit = read_control(directory, "pids.max").value_or("max");
    return {number(directory, "pids.current"), limit == "max" ? 0 : to_number(limit).value_or(0)};
}

}  // namespace

Stats read_stats_v1(const Group& group) {
    Stats stats;
    if (const auto at = group.directory("cpuacct"); !at.empty()) read_cpu_accounting(at, stats.cpu);
    if (const auto at = group.directory("cpu"); !at.empty()) read_throttling(at, stats.cpu);
    if (const auto at = group.directory("memory"); !at.empty()) stats.memory = read_memory(at);
    if (const auto at = group.directory("blkio"); !at.empty()) stats.block_io = read_block_io(at);
    if (const auto at = group.directory("pids"); !at.empty()) stats.pids = read_pids(at);
    if (const auto at = group.directory("cpuset"); !at.empty()) stats.cpuset = read_cpuset(at);
    if (const auto at = group.directory("hugetlb"); !at.empty())
        for (const auto& size : hugetlb_sizes(at, ".usage_in_bytes"))
            stats.hugetlb[size] = read_hugetlb(at, size);
    // A hybrid machine may have this controller on v2.
    if (const auto at = group.v2_directory(); !at.empty() && stats.hugetlb.empty())
        stats.hugetlb = read_hugetlb_v2(at);
    return stats;
}

}  // namespace corten::cgroup
