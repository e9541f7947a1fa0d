#include "files.hpp"
#include "read_stats.hpp"

#include <base/text.hpp>

#include <cstdlib>

namespace corten::cgroup {
namespace {

double to_average(std::string_view text) {
    return std::strtod(std::string(text).c_str(), nullptr);
}

/// "some avg10=0.00 avg60=1.25 avg300=0.10 total=4711"
void read_stall(const std::string& line, Pressure& pressure) {
    const auto fields = split(line, ' ');
    Stall& stall = fields[0] == "some" ? pressure.some : pressure.full;
    for (const auto& field : fields) {
        const auto [key, text] = split_once(field, '=');
        if (key == "avg10") stall.average10 = to_average(text);
        if (key == "avg60") stall.average60 = to_average(text);
        if (key == "avg300") stall.average300 = to_average(text);
        if (key == "total") stall.total = to_number(text).value_or(0);
    }
}

/// The file is there on kernels without PSI as well, and cannot be read.
std::optional<Pressure> read_pressure(const std::string& directory, std::string_view file) {
    const auto text = read_control(directory, file);
    if (!text) return std::nullopt;
    Pressure pressure;
    for (const auto& line : split(*text, '\n')) read_stall(line, pressure);
    return pressure;
}

CpuStats read_cpu(const std::string& directory) {
    auto values = read_flat_keyed(directory, "cpu.stat");
    CpuStats cpu;
    cpu.usage_ns = values["usage_usec"] * 1000;
    cpu.user_ns = values["user_usec"] * 1000;
    cpu.system_ns = values["system_usec"] * 1000;
    cpu.periods = values["nr_periods"];
    cpu.throttled_periods = values["nr_throttled"];
    cpu.throttled_ns = values["throttled_usec"] * 1000;
    cpu.pressure = read_pressure(directory, "cpu.pressure");
    return cpu;
}

MemoryStats read_memory(const std::string& directory) {
    MemoryStats memory;
    memory.usage = read_number(directory, "memory.current").value_or(0);
    memory.max_usage = read_number(directory, "memory.peak").value_or(0);
    memory.limit = read_number(directory, "memory.max").value_or(0);
    memory.swap_usage = read_number(directory, "memory.swap.current").value_or(0);
    memory.swap_limit = read_number(directory, "memory.swap.max").value_or(0);
    memory.stat = read_flat_keyed(directory, "memory.stat");
    auto events = read_flat_keyed(directory, "memory.events");
    memory.fail_count = events["max"];
    memory.oom_kills = events["oom_kill"];
    const auto kernel = memory.stat.find("kernel");
    memory.kernel_usage = kernel == memory.stat.end() ? 0 : kernel->second;
    const auto sockets = memory.stat.find("sock");
    memory.tcp_usage = sockets == memory.stat.end() ? 0 : sockets->second;
    memory.pressure = read_pressure(directory, "memory.pressure");
    return memory;
}

/// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"
void read_io_line(const std::string& line, BlockIoStats& io) {
    const auto fields = split(line, ' ');
    const auto device = split_once(fields[0], ':');
    if (device.second.empty()) return;
    const auto entry = [&](std::string op, std::uint64_t value) {
        return BlockIoEntry{to_number(device.first).value_or(0),
                            to_number(device.second).value_or(0), std::move(op), value};
    };
    for (const auto& field : fields) {
        const auto [key, text] = split_once(field, '=');
        const auto value = to_number(text).value_or(0);
        if (key == "rbytes") io.service_bytes.push_back(entry("read", value));
        if (key == "wbytes") io.service_bytes.push_back(entry("write", value));
        if (key == "rios") io.serviced.push_back(entry("read", value));
        if (key == "wios") io.serviced.push_back(entry("write", value));
    }
}

BlockIoStats read_io(const std::string& directory) {
    BlockIoStats io;
    for (const auto& line : split(read_control(directory, "io.stat").value_or(""), '\n'))
        read_io_line(line, io);
    io.pressure = read_pressure(directory, "io.pressure");
    return io;
}

PidsStats read_pids(const std::string& directory) {
    const auto limit = read_control(directory, "pids.max").value_or("max");
    return {read_number(directory, "pids.current").value_or(0),
            limit == "max" ? 0 : to_number(limit).value_or(0)};
}

HugetlbStats read_hugetlb(const std::string& directory, std::string_view size) {
    auto events = read_flat_keyed(directory, fmt::format("hugetlb.{}.events", size));
    return {.usage = read_number(directory, fmt::format("hugetlb.{}.current", size)).value_or(0),
            .max_usage = 0,
            .fail_count = events["max"]};
}

}  // namespace

std::map<std::string, HugetlbStats> read_hugetlb_v2(const std::string& directory) {
    std::map<std::string, HugetlbStats> all;
    for (const auto& size : hugetlb_sizes(directory, ".current"))
        all[size] = read_hugetlb(directory, size);
    return all;
}

Stats read_stats_v2(const std::string& directory) {
    Stats stats;
    stats.v2 = true;
    stats.cpu = read_cpu(directory);
    stats.memory = read_memory(directory);
    stats.pids = read_pids(directory);
    stats.block_io = read_io(directory);
    stats.cpuset.cpus = read_control(directory, "cpuset.cpus.effective").value_or("");
    stats.cpuset.mems = read_control(directory, "cpuset.mems.effective").value_or("");
    stats.hugetlb = read_hugetlb_v2(directory);
    return stats;
}

}  // namespace corten::cgroup
