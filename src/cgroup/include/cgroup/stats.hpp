#pragma once
// Usage numbers of a group, in the shape both versions of the kernel's interface can fill.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::cgroup {

/// Time that tasks stood still for want of something (PSI): averages in percent, the total in
/// microseconds.
struct Stall {
    double average10 = 0;
    double average60 = 0;
    double average300 = 0;
    std::uint64_t total = 0;
};
struct Pressure {
    Stall some;  ///< at least one task
    Stall full;  ///< all of them
};

struct CpuStats {
    std::uint64_t usage_ns = 0;
    std::uint64_t user_ns = 0;
    std::uint64_t system_ns = 0;
    std::vector<std::uint64_t> per_cpu_ns;  ///< v1 only
    std::uint64_t periods = 0;
    std::uint64_t throttled_periods = 0;
    std::uint64_t throttled_ns = 0;
    std::optional<Pressure> pressure;  ///< where the kernel has it; v2 only, like those below
};

struct CpusetStats {
    std::string cpus;  ///< "0-1,3", as the kernel writes lists
    std::string mems;
    /// "memory_migrate" -> 0, ...: the switches of v1.
    std::map<std::string, std::int64_t> switches;
};

struct MemoryStats {
    std::uint64_t usage = 0;       ///< bytes
    std::uint64_t max_usage = 0;   ///< 0 where the kernel does not tell
    std::uint64_t limit = 0;       ///< bytes; the kernel's "no limit" is max uint64
    std::uint64_t fail_count = 0;  ///< v1 failcnt, v2 memory.events "max"
    std::uint64_t swap_usage = 0;
    std::uint64_t swap_limit = 0;
    std::uint64_t kernel_usage = 0;
    std::uint64_t tcp_usage = 0;  ///< buffers of sockets; the limit and the failures v1 only
    std::uint64_t tcp_max_usage = 0;
    std::uint64_t tcp_limit = 0;
    std::uint64_t tcp_fail_count = 0;
    std::uint64_t oom_kills = 0;
    std::map<std::string, std::uint64_t> stat;  ///< memory.stat as it is
    std::optional<Pressure> pressure;
};

struct PidsStats {
    std::uint64_t current = 0;
    std::uint64_t limit = 0;  ///< 0: no limit
};

struct BlockIoEntry {
    std::uint64_t major = 0;
    std::uint64_t minor = 0;
    std::string op;  ///< v1 "Read", "Write", ...; v2 "read", "write"
    std::uint64_t value = 0;
};

struct BlockIoStats {
    std::vector<BlockIoEntry> service_bytes;
    std::vector<BlockIoEntry> serviced;
    std::vector<BlockIoEntry> queued;  ///< v1 only, like those below
    std::vector<BlockIoEntry> service_time;
    std::vector<BlockIoEntry> wait_time;
    std::vector<BlockIoEntry> merged;
    std::vector<BlockIoEntry> time;
    std::vector<BlockIoEntry> sectors;
    std::optional<Pressure> pressure;
};

struct HugetlbStats {
    std::uint64_t usage = 0;
    std::uint64_t max_usage = 0;
    std::uint64_t fail_count = 0;
};

struct Stats {
    bool v2 = false;
    CpuStats cpu;
    CpusetStats cpuset;
    MemoryStats memory;
    PidsStats pids;
    BlockIoStats block_io;
    std::map<std::string, HugetlbStats> hugetlb;  ///< "2MB" -> ...
};

}  // namespace corten::cgroup
