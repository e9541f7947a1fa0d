// One sample of a container's use of the machine.
#include "context.hpp"

#include <base/text.hpp>
#include <engine/containers.hpp>
#include <sys/file.hpp>

#include <cgroup/group.hpp>
#include <unistd.h>

namespace corten::engine {

namespace {

/// The first seven numbers of /proc/stat's first line, in nanoseconds.
Result<std::uint64_t> system_cpu_usage() {
    const std::string text = TRY(sys::read_file("/proc/stat"));
    const auto words = split(text.substr(0, text.find('\n')), ' ');
    std::uint64_t ticks = 0;
    int taken = 0;
    for (std::size_t i = 1; i < words.size() && taken < 7; ++i) {
        if (words[i].empty()) continue;
        ticks += static_cast<std::uint64_t>(TRY(parse_integer(words[i], "/proc/stat")));
        ++taken;
    }
    return ticks * (1'000'000'000u / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

apitypes::CpuStats cpu_of(const cgroup::CpuStats& cpu, std::uint64_t system, int online) {
    apitypes::CpuStats out;
    out.cpu_usage = {.total_usage = cpu.usage_ns,
                     .percpu_usage = cpu.per_cpu_ns,
                     .usage_in_kernelmode = cpu.system_ns,
                     .usage_in_usermode = cpu.user_ns};
    out.system_cpu_usage = system;
    out.online_cpus = static_cast<std::uint32_t>(online);
    out.throttling_data = {.periods = cpu.periods,
                           .throttled_periods = cpu.throttled_periods,
                           .throttled_time = cpu.throttled_ns};
    return out;
}

apitypes::MemoryStats memory_of(const cgroup::MemoryStats& memory, std::int64_t machine) {
    apitypes::MemoryStats out;
    out.usage = memory.usage;
    out.max_usage = memory.max_usage;
    out.stats = memory.stat;
    out.failcnt = memory.fail_count;
    out.limit = std::min(memory.limit, static_cast<std::uint64_t>(machine));
    return out;
}

apitypes::BlkioEntries entries_of(const std::vector<cgroup::BlockIoEntry>& entries) {
    std::vector<apitypes::BlkioEntry> out;
    out.reserve(entries.size());
    for (const auto& entry : entries)
        out.push_back(
            {.major = entry.major, .minor = entry.minor, .op = entry.op, .value = entry.value});
    return out;
}

apitypes::BlkioStats block_io_of(const cgroup::Stats& stats) {
    const auto& io = stats.block_io;
    apitypes::BlkioStats out;
    out.io_service_bytes = entries_of(io.service_bytes);
    if (stats.v2) return out;  // v2 has this one only; the others are null
    out.io_serviced = entries_of(io.serviced);
    out.io_queue = entries_of(io.queued);
    out.io_service_time = entries_of(io.service_time);
    out.io_wait_time = entries_of(io.wait_time);
    out.io_merged = entries_of(io.merged);
    out.io_time = entries_of(io.time);
    out.sectors = entries_of(io.sectors);
    return out;
}

Result<std::map<std::string, apitypes::NetworkStats>> networks_of(const Context& context,
                                                                  const std::string& id) {
    std::map<std::string, apitypes::NetworkStats> out;
    for (const auto& s : TRY(context.networks->stats(id)))
        out[s.name] = {.rx_bytes = s.rx_bytes,
                       .rx_packets = s.rx_packets,
                       .rx_errors = s.rx_errors,
                       .rx_dropped = s.rx_dropped,
                       .tx_bytes = s.tx_bytes,
                       .tx_packets = s.tx_packets,
                       .tx_errors = s.tx_errors,
                       .tx_dropped = s.tx_dropped};
    return out;
}

}  // namespace

Result<apitypes::Stats> Containers::stats(std::string_view ref) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto state = container->state();
    apitypes::Stats out;
    out.name = "/" + container->name();
    out.id = container->id();
    if (!state.is_running()) return out;
    const auto group = TRY(cgroup::Group::open(context_.facts.cgroups, state.cgroup_path));
    const auto usage = TRY(group.stats());
    out.read = rfc3339(now());
    out.pids = {.current = usage.pids.current,
                .limit = usage.pids.limit == 0 ? ~std::uint64_t{0} : usage.pids.limit};
    out.blkio = block_io_of(usage);
    out.cpu = cpu_of(usage.cpu, TRY(system_cpu_usage()), context_.facts.cpu_count);
    out.memory = memory_of(usage.memory, context_.facts.memory_bytes);
    out.networks = TRY(networks_of(context_, container->id()));
    return out;
}

}  // namespace corten::engine
