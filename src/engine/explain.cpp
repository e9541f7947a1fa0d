// `corten explain`: what the engine put on the host for one container, seen from both sides.
#include "context.hpp"
#include "process_list.hpp"
#include "spec_builder.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <engine/containers.hpp>
#include <proto/shim_files.hpp>
#include <sys/file.hpp>
#include <sys/mountinfo.hpp>

#include <cgroup/group.hpp>
#include <unistd.h>

#include <array>
#include <map>

namespace corten::engine {

namespace {

Json container_section(const ContainerSpec& spec, const ContainerState& state) {
    return {{"Id", spec.id},
            {"Name", spec.name},
            {"Image", spec.image},
            {"ImageId", spec.image_id},
            {"Status", state.status},
            {"Pid", state.pid},
            {"RestartCount", state.restart_count}};
}

Json endpoints_of(const Context& context, const ContainerState& state) {
    Json endpoints = Json::array();
    for (const auto& endpoint : state.endpoints) {
        Json entry = to_json(endpoint);
        const auto report = context.networks->explain(endpoint);
        if (report)
            entry["Report"] = to_json(*report);
        else
            entry["Error"] = report.error().message();
        endpoints.push_back(std::move(entry));
    }
    return endpoints;
}

Result<Json> network_section(const Context& context, const ContainerSpec& spec,
                             const ContainerState& state) {
    const std::string& mode = spec.host.network_mode;
    Json out = {{"Mode", mode}};
    if (mode == "host") {
        out["Interfaces"] = to_json(TRY(context.networks->host_interfaces()));
        out["Endpoints"] = Json::array();
    } else if (is_container_mode(mode)) {
        const auto owner = context.containers.find(container_of_mode(mode));
        out["Of"] = owner ? (*owner)->name() : container_of_mode(mode);
        out["Endpoints"] = owner ? endpoints_of(context, (*owner)->state()) : Json::array();
    } else {
        out["Endpoints"] = endpoints_of(context, state);
    }
    return out;
}

Json process_entry(const ProcessInfo& p) {
    return {{"Pid", p.pid},
            {"InnerPid", p.inner_pid},
            {"Parent", p.parent},
            {"Uid", p.uid},
            {"Command", p.command}};
}

/// The daemon, the supervisor, and below it the container's processes.
Result<Json> process_section(const Container& container, const cgroup::Group& group) {
    const auto pids = TRY(group.processes());
    Json inside = Json::array();
    const auto processes = TRY(read_processes(pids));
    pid_t supervisor = 0;
    for (const auto& p : processes) {
        if (p.pid == container.state().pid) supervisor = p.parent;
        inside.push_back(process_entry(p));
    }
    Json out = {{"Daemon", ::getpid()}, {"Container", std::move(inside)}};
    for (const auto& p : TRY(read_processes({supervisor}))) out["Supervisor"] = process_entry(p);
    return out;
}

std::string limit_text(std::uint64_t limit) {
    // The kernel's "no limit" is the largest page-aligned number.
    return limit >= std::uint64_t{1} << 62 ? "unlimited"
                                           : human_size_binary(static_cast<double>(limit));
}

/// A control file of the group as the kernel shows it now; "" where there is none of that name.
std::string control(const cgroup::Group& group, std::string_view controller,
                    std::string_view file) {
    const std::string directory = group.directory(controller);
    if (directory.empty()) return "";
    return std::string(trim(sys::read_file(fmt::format("{}/{}", directory, file)).value_or("")));
}

Json cpu_section(const cgroup::Group& group, const cgroup::Stats& stats) {
    Json out = {{"UsageNs", stats.cpu.usage_ns}, {"ThrottledNs", stats.cpu.throttled_ns}};
    if (stats.v2) {
        const std::string most = control(group, "cpu", "cpu.max");
        const auto [quota, period] = split_once(most, ' ');
        out["Quota"] = quota == "max" ? "-1" : std::string(quota);
        out["Period"] = std::string(period);
        out["Weight"] = control(group, "cpu", "cpu.weight");
    } else {
        out["Quota"] = control(group, "cpu", "cpu.cfs_quota_us");
        out["Period"] = control(group, "cpu", "cpu.cfs_period_us");
        out["Shares"] = control(group, "cpu", "cpu.shares");
    }
    const char* in_force = stats.v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus";
    out["Cpus"] = control(group, "cpuset", in_force);
    out["Mems"] =
        control(group, "cpuset", stats.v2 ? "cpuset.mems.effective" : "cpuset.effective_mems");
    return out;
}

/// Memory and swap together; v2 limits swap by itself, and v1 has no file without swap accounting.
std::string swap_text(const cgroup::Stats& stats) {
    const auto& memory = stats.memory;
    if (!stats.v2) return memory.swap_limit == 0 ? "not limited" : limit_text(memory.swap_limit);
    constexpr auto limited = std::uint64_t{1} << 62;
    const bool both = memory.limit < limited && memory.swap_limit < limited;
    return limit_text(both ? memory.limit + memory.swap_limit
                           : std::max(memory.limit, memory.swap_limit));
}

Json memory_section(const cgroup::Group& group, const cgroup::Stats& stats) {
    const char* soft = stats.v2 ? "memory.low" : "memory.soft_limit_in_bytes";
    const auto reservation = parse_integer(control(group, "memory", soft), soft).value_or(0);
    return {{"Usage", stats.memory.usage},
            {"Limit", stats.memory.limit},
            {"LimitText", limit_text(stats.memory.limit)},
            {"SwapLimitText", swap_text(stats)},
            {"Reservation", reservation},
            {"ReservationText",
             reservation == 0 ? "none" : limit_text(static_cast<std::uint64_t>(reservation))}};
}

Json block_io_section(const cgroup::Group& group, const cgroup::Stats& stats) {
    std::uint64_t read = 0;
    std::uint64_t written = 0;
    for (const auto& entry : stats.block_io.service_bytes) {
        if (to_lower(entry.op) == "read") read += entry.value;
        if (to_lower(entry.op) == "write") written += entry.value;
    }
    return {{"ReadBytes", read},
            {"WrittenBytes", written},
            {"Weight", stats.v2 ? control(group, "io", "io.bfq.weight")
                                : control(group, "blkio", "blkio.bfq.weight")}};
}

Result<Json> cgroup_section(const cgroup::Group& group) {
    Json paths = Json::object();
    for (const auto& [controller, path] : group.controllers()) paths[controller] = path;
    const auto stats = TRY(group.stats());
    return Json{{"Path", group.path()},
                {"Directories", std::move(paths)},
                {"Memory", memory_section(group, stats)},
                {"Cpu", cpu_section(group, stats)},
                {"Pids", {{"Current", stats.pids.current}, {"Limit", stats.pids.limit}}},
                {"BlockIo", block_io_section(group, stats)}};
}

Json namespace_section(const ContainerState& state) {
    Json out = Json::object();
    constexpr std::array types = {"mnt", "net", "pid", "ipc", "uts", "user", "cgroup", "time"};
    for (const char* type : types) {
        char target[128];
        const auto read = [&](const std::string& path) {
            const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
            return n < 0 ? std::string() : std::string(target, static_cast<std::size_t>(n));
        };
        const std::string theirs = read(fmt::format("/proc/{}/ns/{}", state.pid, type));
        if (theirs.empty()) continue;  // the kernel lacks the type, or the process is gone
        out[type] = {{"Id", theirs},
                     {"Shared", theirs == read(fmt::format("/proc/self/ns/{}", type))}};
    }
    return out;
}

/// The layers, the topmost first, with where each lies; above them what overlayfs writes to.
Result<Json> storage_section(const Context& context, const ContainerSpec& spec) {
    auto& snapshots = context.store->snapshots();
    const auto places = TRY(snapshots.places(spec.id));
    const auto chain = spec.chain_id.empty() ? std::vector<storage::Layer>()
                                             : TRY(context.store->layers().chain(spec.chain_id));
    const std::size_t init_layers = places.lower.size() - chain.size();
    Json layers = Json::array();
    for (std::size_t i = 0; i < chain.size(); ++i)
        layers.push_back({{"ChainId", chain[i].chain_id},
                          {"DiffId", chain[i].diff_id},
                          {"Size", chain[i].size},
                          {"Path", places.lower[init_layers + i]}});
    const auto usage = TRY(snapshots.usage(spec.id));
    Json out = {{"Driver", std::string(context.store->driver().name())},
                {"Upper", places.upper},
                {"Work", places.work}};
    if (init_layers > 0) out["Init"] = places.lower.front();
    out["Layers"] = std::move(layers);
    out["WritableBytes"] = usage.bytes;
    out["WritableFiles"] = usage.inodes;
    return out;
}

/// Where the engine took a mount's content from, by its place in the container.
std::map<std::string, std::string> sources(const Context& context, const ContainerSpec& spec) {
    std::map<std::string, std::string> out;
    for (const char* name : {"hosts", "hostname", "resolv.conf"})
        out[fmt::format("/etc/{}", name)] = fmt::format("{}/{}", context.files_of(spec.id), name);
    if (spec.host.init.value_or(false)) out["/sbin/docker-init"] = context.config.init_program;
    for (const auto& mount : spec.mounts)
        out[mount.target] =
            mount.type == "volume" ? context.volumes.mountpoint(mount.name) : mount.source;
    return out;
}

/// What will be mounted when the container starts.
Json planned_mounts(const Context& context, const ContainerSpec& spec) {
    Json out = Json::array();
    const auto from = sources(context, spec);
    for (const auto& mount : spec.mounts)
        out.push_back({{"Type", mount.type},
                       {"Source", from.at(mount.target)},
                       {"Target", mount.target},
                       {"ReadOnly", mount.read_only}});
    return out;
}

/// What is mounted now, as the container's own table has it (proc_pid_mountinfo(5)).
Result<Json> mounts_inside(const Context& context, const ContainerSpec& spec, int pid) {
    Json out = Json::array();
    const auto from = sources(context, spec);
    const auto table = TRY(sys::read_file(fmt::format("/proc/{}/mountinfo", pid)));
    for (const auto& line : split(table, '\n')) {
        const auto separator = line.find(" - ");
        if (separator == std::string::npos) continue;
        const auto fields = split(line, ' ');
        const auto kind = split(line.substr(separator + 3), ' ');
        if (fields.size() < 6 || kind.size() < 2) continue;
        const std::string target = sys::mountinfo_unescaped(fields[4]);
        const auto known = from.find(target);
        out.push_back({{"Type", known == from.end() || known->second.empty() ? kind[0] : "bind"},
                       {"Source", known == from.end() || known->second.empty()
                                      ? sys::mountinfo_unescaped(kind[1])
                                      : known->second},
                       {"Target", target},
                       {"ReadOnly", fields[5] == "ro" || fields[5].starts_with("ro,")},
                       {"Options", fields[5]}});
    }
    return out;
}

Json files_section(const Context& context, const ContainerSpec& spec) {
    return {{"State", context.config.data_root + "/corten.db"},
            {"Directory", context.files_of(spec.id)},
            {"Log", spec.host.log_config.type == "none" ? "" : context.log_of(spec.id)},
            {"Runtime", context.runtime_directory(spec.id)},
            {"Socket", proto::control_socket_in(context.runtime_directory(spec.id))}};
}

}  // namespace

Result<Json> Containers::explain(std::string_view ref) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto spec = container->spec();
    const auto state = container->state();
    Json out = {{"Container", container_section(*spec, state)}};
    out["Network"] = TRY(network_section(context_, *spec, state));
    if (state.is_running()) {
        const auto group = TRY(cgroup::Group::open(context_.facts.cgroups, state.cgroup_path));
        out["Processes"] = TRY(process_section(*container, group));
        out["Cgroup"] = TRY(cgroup_section(group));
        out["Namespaces"] = namespace_section(state);
    }
    out["Storage"] = TRY(storage_section(context_, *spec));
    out["Mounts"] = state.is_running() ? TRY(mounts_inside(context_, *spec, state.pid))
                                       : planned_mounts(context_, *spec);
    out["Files"] = files_section(context_, *spec);
    out["TimingsMs"] = to_json(state.timings_ms);
    return out;
}

}  // namespace corten::engine
