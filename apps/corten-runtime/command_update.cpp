#include "commands.hpp"
#include "store.hpp"
#include "systemd_unit.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/file.hpp>

#include <unistd.h>

namespace corten::runtime_cli {
namespace {

using Text = std::optional<std::string>;

template <typename Number>
Result<void> take_number(const Text& text, std::optional<Number>& out, std::string_view flag) {
    if (!text || text->empty()) return {};
    const auto number = TRY(parse_integer(*text, flag));
    if (!std::in_range<Number>(number))
        return fail(ErrorKind::invalid, "invalid value for {}: {}", flag, *text);
    out = static_cast<Number>(number);
    return {};
}

Result<void> take_size(const Text& text, std::optional<std::int64_t>& out, std::string_view flag) {
    if (!text || text->empty()) return {};
    out = *text == "-1" ? -1 : TRY(parse_size(*text, flag));
    return {};
}

Result<void> take_cpu(const UpdateOptions& options, oci::LinuxCpu& cpu) {
    TRY(take_number(options.cpu_period, cpu.period, "cpu-period"));
    TRY(take_number(options.cpu_quota, cpu.quota, "cpu-quota"));
    TRY(take_number(options.cpu_burst, cpu.burst, "cpu-burst"));
    TRY(take_number(options.cpu_share, cpu.shares, "cpu-share"));
    TRY(take_number(options.cpu_rt_period, cpu.realtime_period, "cpu-rt-period"));
    TRY(take_number(options.cpu_rt_runtime, cpu.realtime_runtime, "cpu-rt-runtime"));
    TRY(take_number(options.cpu_idle, cpu.idle, "cpu-idle"));
    cpu.cpus = options.cpuset_cpus.value_or("");
    cpu.mems = options.cpuset_mems.value_or("");
    return {};
}

Result<void> take_memory(const UpdateOptions& options, oci::LinuxMemory& memory) {
    TRY(take_size(options.memory, memory.limit, "memory"));
    TRY(take_size(options.memory_reservation, memory.reservation, "memory-reservation"));
    TRY(take_size(options.memory_swap, memory.swap, "memory-swap"));
    if (options.kernel_memory) log_warning("--kernel-memory is no longer in the kernel, ignoring");
    return {};
}

Result<oci::LinuxResources> resources_from(const UpdateOptions& options) {
    if (!options.resources.empty()) {
        const auto text = options.resources == "-" ? sys::read_all(FdView(STDIN_FILENO))
                                                   : sys::read_file(options.resources);
        return parse_as<oci::LinuxResources>(TRY(Result<std::string>(text)), "resources");
    }
    oci::LinuxResources resources;
    TRY(take_cpu(options, resources.cpu.emplace()));
    TRY(take_memory(options, resources.memory.emplace()));
    TRY(take_number(options.pids_limit, resources.pids.emplace().limit, "pids-limit"));
    TRY(take_number(options.blkio_weight, resources.block_io.emplace().weight, "blkio-weight"));
    if (options.l3_cache_schema || options.mem_bw_schema)
        return fail(ErrorKind::unsupported,
                    "Intel RDT: /sys/fs/resctrl is not mounted (CONFIG_X86_CPU_RESCTRL)");
    return resources;
}

/// A new period alone keeps the quota, and the kernel wants both on v2.
void complete_cpu(oci::LinuxCpu& cpu, const oci::Spec& spec) {
    const auto& old = spec.linux_section.resources;
    if (!old || !old->cpu) return;
    if (cpu.period && !cpu.quota) cpu.quota = old->cpu->quota;
    if (cpu.quota && !cpu.period) cpu.period = old->cpu->period;
}

template <typename T>
void merge_value(std::optional<T>& into, const std::optional<T>& from) {
    if (from) into = from;
}

/// So that a later exec, update or restart sees what now holds.
void remember(oci::Spec& spec, const oci::LinuxResources& fresh) {
    if (!spec.linux_section.resources) spec.linux_section.resources.emplace();
    auto& all = *spec.linux_section.resources;
    if (fresh.memory) {
        if (!all.memory) all.memory.emplace();
        merge_value(all.memory->limit, fresh.memory->limit);
        merge_value(all.memory->swap, fresh.memory->swap);
        merge_value(all.memory->reservation, fresh.memory->reservation);
    }
    if (fresh.cpu) {
        if (!all.cpu) all.cpu.emplace();
        merge_value(all.cpu->shares, fresh.cpu->shares);
        merge_value(all.cpu->quota, fresh.cpu->quota);
        merge_value(all.cpu->period, fresh.cpu->period);
        merge_value(all.cpu->burst, fresh.cpu->burst);
        if (!fresh.cpu->cpus.empty()) all.cpu->cpus = fresh.cpu->cpus;
        if (!fresh.cpu->mems.empty()) all.cpu->mems = fresh.cpu->mems;
    }
    if (fresh.pids && fresh.pids->limit) all.pids = fresh.pids;
}

/// All but the devices, which `update` leaves alone.
oci::LinuxResources limits_of(oci::LinuxResources all) {
    all.devices.clear();
    return all;
}

}  // namespace

Result<int> update(const Global& global, const UpdateOptions& options) {
    const auto container = TRY(Container::load(global, options.id));
    if (TRY(container.status()) == Status::stopped)
        return fail(ErrorKind::conflict, "container not running");
    auto resources = TRY(resources_from(options));
    auto spec = TRY(container.spec());
    if (resources.cpu) complete_cpu(*resources.cpu, spec);
    const auto group = TRY(container.cgroup());
    if (!group.valid()) return fail(ErrorKind::conflict, "container has no cgroup");
    const auto before = spec.linux_section.resources.value_or(oci::LinuxResources{});
    const auto& unit = container.record().systemd_unit;
    Rollback undo;
    undo.add([&] {  // as far as they were given
        if (!unit.empty()) update_unit(unit, limits_of(before)).ignore();
        group.apply(limits_of(before)).ignore();
    });
    if (!unit.empty()) TRY(update_unit(unit, resources));
    TRY(group.apply(resources));
    remember(spec, resources);
    TRY(container.save_spec(spec));
    undo.commit();
    return 0;
}

}  // namespace corten::runtime_cli
