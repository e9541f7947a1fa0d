#include "commands.hpp"
#include "store.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/poll.hpp>

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace corten::runtime_cli {
namespace {

// The shapes of runc's `events` (github.com/opencontainers/runc/types/events.go).

Json memory_entry(std::uint64_t usage, std::uint64_t limit, std::uint64_t max,
                  std::uint64_t failures) {
    Json entry = Json::object();
    entry["limit"] = limit;
    if (usage != 0) entry["usage"] = usage;
    if (max != 0) entry["max"] = max;
    entry["failcnt"] = failures;
    return entry;
}

Json stall_json(const cgroup::Stall& stall) {
    return {{"avg10", stall.average10},
            {"avg60", stall.average60},
            {"avg300", stall.average300},
            {"total", stall.total}};
}

void add_pressure(Json& json, const std::optional<cgroup::Pressure>& pressure) {
    if (!pressure) return;
    json["psi"] = {{"some", stall_json(pressure->some)}, {"full", stall_json(pressure->full)}};
}

/// "0-1,3" as [0,1,3].
Json numbers_of(std::string_view list) {
    Json numbers = Json::array();
    for (const auto& range : split(list, ',')) {
        const auto [first, last] = split_once(range, '-');
        const auto from = parse_integer(first, "list");
        const auto to = parse_integer(last.empty() ? first : last, "list");
        if (!from || !to) continue;
        for (auto n = *from; n <= *to; ++n) numbers.push_back(n);
    }
    return numbers;
}

Json cpuset_json(const cgroup::CpusetStats& cpuset) {
    Json json = Json::object();
    if (auto cpus = numbers_of(cpuset.cpus); !cpus.empty()) json["cpus"] = std::move(cpus);
    if (auto mems = numbers_of(cpuset.mems); !mems.empty()) json["mems"] = std::move(mems);
    for (const auto& [name, value] : cpuset.switches) json[name] = value;
    return json;
}

Json hugetlb_json(const std::map<std::string, cgroup::HugetlbStats>& sizes) {
    Json json = Json::object();
    for (const auto& [size, pages] : sizes) {
        json[size] = {{"failcnt", pages.fail_count}};
        if (pages.usage != 0) json[size]["usage"] = pages.usage;
        if (pages.max_usage != 0) json[size]["max"] = pages.max_usage;
    }
    return json;
}

Json memory_json(const cgroup::MemoryStats& memory) {
    Json json = Json::object();
    const auto cache = memory.stat.find("cache");
    if (cache != memory.stat.end()) json["cache"] = cache->second;
    json["usage"] = memory_entry(memory.usage, memory.limit, memory.max_usage, memory.fail_count);
    json["swap"] = memory_entry(memory.usage + memory.swap_usage, memory.swap_limit, 0, 0);
    json["kernel"] = memory_entry(memory.kernel_usage, 0, 0, 0);
    json["kernelTCP"] = memory_entry(memory.tcp_usage, memory.tcp_limit, memory.tcp_max_usage,
                                     memory.tcp_fail_count);
    json["raw"] = to_json(memory.stat);
    add_pressure(json, memory.pressure);
    return json;
}

Json cpu_json(const cgroup::CpuStats& cpu) {
    Json json = Json::object();
    json["usage"] = {{"total", cpu.usage_ns}, {"kernel", cpu.system_ns}, {"user", cpu.user_ns}};
    if (!cpu.per_cpu_ns.empty()) json["usage"]["percpu"] = cpu.per_cpu_ns;
    json["throttling"] = {{"periods", cpu.periods},
                          {"throttledPeriods", cpu.throttled_periods},
                          {"throttledTime", cpu.throttled_ns}};
    add_pressure(json, cpu.pressure);
    return json;
}

Json block_entries(const std::vector<cgroup::BlockIoEntry>& entries) {
    Json list = Json::array();
    for (const auto& entry : entries)
        list.push_back({{"major", entry.major},
                        {"minor", entry.minor},
                        {"op", entry.op},
                        {"value", entry.value}});
    return list;
}

Json block_json(const cgroup::BlockIoStats& io) {
    const std::pair<const char*, const std::vector<cgroup::BlockIoEntry>*> lists[] = {
        {"ioServiceBytesRecursive", &io.service_bytes},
        {"ioServicedRecursive", &io.serviced},
        {"ioQueueRecursive", &io.queued},
        {"ioServiceTimeRecursive", &io.service_time},
        {"ioWaitTimeRecursive", &io.wait_time},
        {"ioMergedRecursive", &io.merged},
        {"ioTimeRecursive", &io.time},
        {"sectorsRecursive", &io.sectors}};
    Json json = Json::object();
    for (const auto& [name, entries] : lists)
        if (!entries->empty()) json[name] = block_entries(*entries);
    add_pressure(json, io.pressure);
    return json;
}

Json stats_json(const cgroup::Stats& stats) {
    Json json = Json::object();
    json["cpu"] = cpu_json(stats.cpu);
    json["cpuset"] = cpuset_json(stats.cpuset);
    json["memory"] = memory_json(stats.memory);
    json["pids"] = {{"current", stats.pids.current}};
    if (stats.pids.limit != 0) json["pids"]["limit"] = stats.pids.limit;
    json["blkio"] = block_json(stats.block_io);
    json["hugetlb"] = hugetlb_json(stats.hugetlb);
    json["intel_rdt"] = Json::object();
    json["network_interfaces"] = nullptr;  // as runc: it makes none, and knows of none
    return json;
}

void print_event(std::string_view type, const std::string& id, const Json* data) {
    Json event = Json::object();
    event["type"] = type;
    event["id"] = id;
    if (data != nullptr) event["data"] = *data;
    fmt::print("{}\n", dump_json(event));
    std::fflush(stdout);
}

Result<void> print_stats(const cgroup::Group& group, const std::string& id) {
    const auto data = stats_json(TRY(group.stats()));
    print_event("stats", id, &data);
    return {};
}

/// Until the container's end: an event for each time the kernel killed in it, and the numbers at
/// each interval.
Result<void> watch(const Container& container, const cgroup::Group& group, int interval_ms) {
    const auto process = TRY(container.process());
    const Fd oom = TRY(group.watch_oom());
    auto kills = group.oom_kills();
    for (;;) {
        std::array<pollfd, 2> entries{{{process.fd().raw(), POLLIN, 0}, {oom.raw(), POLLIN, 0}}};
        const int ready = ::poll(entries.data(), entries.size(), interval_ms);
        if (ready < 0 && errno != EINTR) return fail_errno("poll");
        if (ready == 0) TRY(print_stats(group, container.record().id));
        if (entries[1].revents != 0) {
            for (auto left = group.new_ooms(oom, kills); left > 0; --left)
                print_event("oom", container.record().id, nullptr);
        }
        if (entries[0].revents != 0) return {};
    }
}

}  // namespace

Result<int> events(const Global& global, const std::string& id, bool stats,
                   const std::string& interval) {
    const auto every = TRY(parse_duration(interval, "--interval"));
    if (every.count() <= 0)
        return fail(ErrorKind::invalid, "duration interval must be greater than 0");
    const auto container = TRY(Container::load(global, id));
    const auto status = TRY(container.status());
    if (status == Status::stopped)
        return fail(ErrorKind::conflict, "container with id {} is not running", id);
    const auto group = TRY(container.cgroup());
    if (!group.valid()) return fail(ErrorKind::conflict, "container has no cgroup to look in");
    if (stats) {
        TRY(print_stats(group, id));
        return 0;
    }
    using std::chrono::milliseconds;
    TRY(watch(container, group, static_cast<int>(std::chrono::ceil<milliseconds>(every).count())));
    return 0;
}

}  // namespace corten::runtime_cli
