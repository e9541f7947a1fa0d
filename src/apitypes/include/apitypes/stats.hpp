#pragma once
// One sample of GET /containers/{id}/stats. Source: Docker Engine API 1.51, StatsResponse.
// Times are nanoseconds, sizes bytes.
#include <apitypes/common.hpp>

namespace corten::apitypes {

struct PidsStats {
    std::uint64_t current = 0;
    std::uint64_t limit = 0;  ///< 0: not known; unlimited is 2^64-1
    static constexpr void fields(auto visit) {
        visit(omit_empty("current", &PidsStats::current), omit_empty("limit", &PidsStats::limit));
    }
};

struct BlkioEntry {
    std::uint64_t major = 0;
    std::uint64_t minor = 0;
    std::string op;  ///< read, write (cgroup v2); Read, Write, Sync, ... (v1)
    std::uint64_t value = 0;
    static constexpr void fields(auto visit) {
        visit(field("major", &BlkioEntry::major), field("minor", &BlkioEntry::minor),
              field("op", &BlkioEntry::op), field("value", &BlkioEntry::value));
    }
};
using BlkioEntries = std::optional<std::vector<BlkioEntry>>;

struct BlkioStats {
    BlkioEntries io_service_bytes;
    BlkioEntries io_serviced;
    BlkioEntries io_queue;
    BlkioEntries io_service_time;
    BlkioEntries io_wait_time;
    BlkioEntries io_merged;
    BlkioEntries io_time;
    BlkioEntries sectors;

    static constexpr void fields(auto visit) {
        using C = BlkioStats;
        visit(field("io_service_bytes_recursive", &C::io_service_bytes),
              field("io_serviced_recursive", &C::io_serviced),
              field("io_queue_recursive", &C::io_queue),
              field("io_service_time_recursive", &C::io_service_time),
              field("io_wait_time_recursive", &C::io_wait_time),
              field("io_merged_recursive", &C::io_merged), field("io_time_recursive", &C::io_time),
              field("sectors_recursive", &C::sectors));
    }
};

struct CpuUsage {
    std::uint64_t total_usage = 0;
    std::vector<std::uint64_t> percpu_usage;  ///< cgroup v1 only
    std::uint64_t usage_in_kernelmode = 0;
    std::uint64_t usage_in_usermode = 0;

    static constexpr void fields(auto visit) {
        using C = CpuUsage;
        visit(field("total_usage", &C::total_usage), omit_empty("percpu_usage", &C::percpu_usage),
              field("usage_in_kernelmode", &C::usage_in_kernelmode),
              field("usage_in_usermode", &C::usage_in_usermode));
    }
};

struct ThrottlingData {
    std::uint64_t periods = 0;
    std::uint64_t throttled_periods = 0;
    std::uint64_t throttled_time = 0;
    static constexpr void fields(auto visit) {
        visit(field("periods", &ThrottlingData::periods),
              field("throttled_periods", &ThrottlingData::throttled_periods),
              field("throttled_time", &ThrottlingData::throttled_time));
    }
};

struct CpuStats {
    CpuUsage cpu_usage;
    std::uint64_t system_cpu_usage = 0;  ///< of the whole machine
    std::uint32_t online_cpus = 0;
    ThrottlingData throttling_data;

    static constexpr void fields(auto visit) {
        using C = CpuStats;
        visit(field("cpu_usage", &C::cpu_usage),
              omit_empty("system_cpu_usage", &C::system_cpu_usage),
              omit_empty("online_cpus", &C::online_cpus),
              field("throttling_data", &C::throttling_data));
    }
};

struct MemoryStats {
    std::uint64_t usage = 0;
    std::uint64_t max_usage = 0;
    std::map<std::string, std::uint64_t> stats;  ///< memory.stat
    std::uint64_t failcnt = 0;
    std::uint64_t limit = 0;

    static constexpr void fields(auto visit) {
        using C = MemoryStats;
        visit(omit_empty("usage", &C::usage), omit_empty("max_usage", &C::max_usage),
              omit_empty("stats", &C::stats), omit_empty("failcnt", &C::failcnt),
              omit_empty("limit", &C::limit));
    }
};

struct NetworkStats {
    std::uint64_t rx_bytes = 0;
    std::uint64_t rx_packets = 0;
    std::uint64_t rx_errors = 0;
    std::uint64_t rx_dropped = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t tx_packets = 0;
    std::uint64_t tx_errors = 0;
    std::uint64_t tx_dropped = 0;

    static constexpr void fields(auto visit) {
        using C = NetworkStats;
        visit(field("rx_bytes", &C::rx_bytes), field("rx_packets", &C::rx_packets),
              field("rx_errors", &C::rx_errors), field("rx_dropped", &C::rx_dropped),
              field("tx_bytes", &C::tx_bytes), field("tx_packets", &C::tx_packets),
              field("tx_errors", &C::tx_errors), field("tx_dropped", &C::tx_dropped));
    }
};

struct Stats {
    std::string name;
    std::string id;
    std::string read = "0001-01-01T00:00:00Z";
    std::string preread = "0001-01-01T00:00:00Z";
    PidsStats pids;
    BlkioStats blkio;
    std::uint32_t num_procs = 0;
    EmptyObject storage;
    CpuStats cpu;
    CpuStats precpu;  ///< the sample before; zero in the first one
    MemoryStats memory;
    std::map<std::string, NetworkStats> networks;  ///< by interface

    static constexpr void fields(auto visit) {
        using C = Stats;
        visit(field("name", &C::name), field("id", &C::id), field("read", &C::read),
              field("preread", &C::preread), field("pids_stats", &C::pids),
              field("blkio_stats", &C::blkio), field("num_procs", &C::num_procs),
              field("storage_stats", &C::storage), field("cpu_stats", &C::cpu),
              field("precpu_stats", &C::precpu), field("memory_stats", &C::memory),
              omit_empty("networks", &C::networks));
    }
};

Json to_json(const Stats& stats);
Result<Stats> stats_from(const Json& json);

}  // namespace corten::apitypes
