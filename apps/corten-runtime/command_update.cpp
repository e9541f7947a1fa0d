#include "commands.hpp"
#include "store.hpp"
#include "systemd_unit.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <runtime/unbuilt.hpp>
#include <sys/file.hpp>

#include <unistd.h>

namespace corten::runtime_cli {
namespace {

using Text = std::optional<std::string>;
constexpr std::uint64_t usual_shares = 1024;

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
    if (options.l3_cache_schema) return runtime::no_resctrl("--l3-cache-schema");
    if (options.mem_bw_schema) return runtime::no_resctrl("--mem-bw-schema");
    return resources;
}

/// A new period alone keeps the quota, and the kernel wants both on v2. A group that was idle has
/// the usual weight then, and not the one from before.
void complete_cpu(oci::LinuxCpu& cpu, const oci::LinuxResources& before) {
    const auto old = before.cpu.value_or(oci::LinuxCpu{});
    if (cpu.period && !cpu.quota) cpu.quota = old.quota;
    if (cpu.quota && !cpu.period) cpu.period = old.period;
    if (cpu.idle == 0 && !cpu.shares) cpu.shares = old.shares.value_or(usual_shares);
}

/// Of what the kernel keeps by device or page size, the entries that are not named stay.
template <typename Entry, typename Key>
std::vector<Entry> merged(std::vector<Entry> old, const std::vector<Entry>& fresh, Key key) {
    for (const auto& entry : fresh) {
        std::erase_if(old, [&](const Entry& other) { return key(other) == key(entry); });
        old.push_back(entry);
    }
    return old;
}

oci::LinuxBlockIo merged(oci::LinuxBlockIo all, const oci::LinuxBlockIo& old,
                         const oci::LinuxBlockIo& fresh) {
    using Io = oci::LinuxBlockIo;
    const auto device = [](const auto& entry) { return std::pair(entry.major, entry.minor); };
    all.weight_device = merged(old.weight_device, fresh.weight_device, device);
    for (const auto list : {&Io::throttle_read_bps_device, &Io::throttle_write_bps_device,
                            &Io::throttle_read_iops_device, &Io::throttle_write_iops_device})
        all.*list = merged(old.*list, fresh.*list, device);
    return all;
}

/// What now holds: each value that is given replaces the one before.
Result<oci::LinuxResources> merged(const oci::LinuxResources& old,
                                   const oci::LinuxResources& fresh) {
    Json values = to_json(old);
    values.merge_patch(to_json(fresh));
    auto all = TRY(from_json<oci::LinuxResources>(values));
    const auto size = [](const oci::HugepageLimit& limit) { return limit.page_size; };
    all.hugepage_limits = merged(old.hugepage_limits, fresh.hugepage_limits, size);
    if (old.block_io && fresh.block_io)
        all.block_io = merged(*all.block_io, *old.block_io, *fresh.block_io);
    return all;
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
    const auto given = TRY(resources_from(options));
    TRY(oci::validate(given));
    auto resources = limits_of(given);
    auto spec = TRY(container.spec());
    const auto group = TRY(container.cgroup());
    if (!group.valid()) return fail(ErrorKind::conflict, "container has no cgroup");
    const auto before = spec.linux_section.resources.value_or(oci::LinuxResources{});
    if (resources.cpu) complete_cpu(*resources.cpu, before);
    const auto& unit = container.record().systemd_unit;
    Rollback undo;
    undo.add([&] {  // as far as they were given
        if (!unit.empty()) update_unit(unit, limits_of(before), group).ignore();
        group.apply(limits_of(before)).ignore();
    });
    if (!unit.empty()) TRY(update_unit(unit, resources, group));
    TRY(group.apply(resources));
    // So that a later exec, update or restart sees it.
    spec.linux_section.resources = TRY(merged(before, resources));
    TRY(container.save_spec(spec));
    undo.commit();
    return 0;
}

}  // namespace corten::runtime_cli
