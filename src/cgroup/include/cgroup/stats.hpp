#pragma once
// Usage numbers of a group, in the shape both versions of the kernel's interface can fill.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::cgroup {

struct CpuStats {
    std::uint64_t usage_ns = 0;
    std::uint64_t user_ns = 0;
    std::uint64_t system_ns = 0;
    std::vector<std::uint64_t> per_cpu_ns;  ///< v1 only
    std::uint64_t periods = 0;
    std::uint64_t throttled_periods = 0;
    std::uint64_t throttled_ns = 0;
};

struct MemoryStats {
    std::uint64_t usage = 0;       ///< bytes
    std::uint64_t max_usage = 0;   ///< 0 where the kernel does not tell
    std::uint64_t limit = 0;       ///< bytes; the kernel's "no limit" is max uint64
    std::uint64_t fail_count = 0;  ///< v1 failcnt, v2 memory.events "max"
    std::uint64_t swap_usage = 0;
    std::uint64_t swap_limit = 0;
    std::uint64_t kernel_usage = 0;
    std::uint64_t oom_kills = 0;
    std::map<std::string, std::uint64_t> stat;  ///< memory.stat as it is
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
};

struct HugetlbStats {
    std::uint64_t usage = 0;
    std::uint64_t max_usage = 0;
    std::uint64_t fail_count = 0;
};

struct Stats {
    bool v2 = false;
    CpuStats cpu;
    MemoryStats memory;
    PidsStats pids;
    BlockIoStats block_io;
    std::map<std::string, HugetlbStats> hugetlb;  ///< "2MB" -> ...
};

}  // namespace corten::cgroup
