// `corten explain`: what the engine put on the host for one container, seen from both sides.
#include "context.hpp"
#include "process_list.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <engine/containers.hpp>
#include <sys/file.hpp>

#include <cgroup/group.hpp>
#include <unistd.h>

#include <array>

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

Json network_section(const Context& context, const ContainerSpec& spec,
                     const ContainerState& state) {
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
    return {{"Mode", spec.host.network_mode}, {"Endpoints", std::move(endpoints)}};
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

Result<Json> cgroup_section(const cgroup::Group& group) {
    Json paths = Json::object();
    for (const auto& [controller, path] : group.controllers()) paths[controller] = path;
    const auto stats = TRY(group.stats());
    return Json{{"Path", group.path()},
                {"Directories", std::move(paths)},
                {"Memory",
                 {{"Usage", stats.memory.usage},
                  {"Limit", stats.memory.limit},
                  {"LimitText", limit_text(stats.memory.limit)}}},
                {"Cpu", {{"UsageNs", stats.cpu.usage_ns}, {"ThrottledNs", stats.cpu.throttled_ns}}},
                {"Pids", {{"Current", stats.pids.current}, {"Limit", stats.pids.limit}}}};
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

Result<Json> storage_section(const Context& context, const ContainerSpec& spec) {
    Json layers = Json::array();
    if (!spec.chain_id.empty())
        for (const auto& layer : TRY(context.store->layers().chain(spec.chain_id)))
            layers.push_back(
                {{"ChainId", layer.chain_id}, {"DiffId", layer.diff_id}, {"Size", layer.size}});
    const auto usage = TRY(context.store->snapshots().usage(spec.id));
    return Json{{"Driver", std::string(context.store->driver().name())},
                {"Layers", std::move(layers)},
                {"WritableBytes", usage.bytes},
                {"WritableFiles", usage.inodes}};
}

Json mounts_section(const Context& context, const ContainerSpec& spec) {
    Json out = Json::array();
    for (const auto& mount : spec.mounts)
        out.push_back({{"Type", mount.type},
                       {"Source", mount.type == "volume" ? context.volumes.mountpoint(mount.name)
                                                         : mount.source},
                       {"Target", mount.target},
                       {"ReadOnly", mount.read_only}});
    return out;
}

Json files_section(const Context& context, const ContainerSpec& spec) {
    return {{"State", context.config.data_root + "/corten.db"},
            {"Directory", context.files_of(spec.id)},
            {"Log", spec.host.log_config.type == "none" ? "" : context.log_of(spec.id)},
            {"Runtime", context.runtime_directory(spec.id)},
            {"Socket", context.runtime_directory(spec.id) + "/shim.sock"}};
}

}  // namespace

Result<Json> Containers::explain(std::string_view ref) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto spec = container->spec();
    const auto state = container->state();
    Json out = {{"Container", container_section(*spec, state)}};
    out["Network"] = network_section(context_, *spec, state);
    if (state.is_running()) {
        const auto group = TRY(cgroup::Group::open(context_.facts.cgroups, state.cgroup_path));
        out["Processes"] = TRY(process_section(*container, group));
        out["Cgroup"] = TRY(cgroup_section(group));
        out["Namespaces"] = namespace_section(state);
    }
    out["Storage"] = TRY(storage_section(context_, *spec));
    out["Mounts"] = mounts_section(context_, *spec);
    out["Files"] = files_section(context_, *spec);
    out["TimingsMs"] = to_json(state.timings_ms);
    return out;
}

}  // namespace corten::engine
