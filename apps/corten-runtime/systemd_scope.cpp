#include "systemd_scope.hpp"

#include "systemd_bus.hpp"

#include <base/text.hpp>
#include <sys/clone.hpp>
#include <sys/prctl.h>

#include <cgroup/convert.hpp>
#include <cgroup/layout.hpp>
#include <signal.h>
#include <unistd.h>

#include <limits>

namespace corten::runtime_cli {
namespace {

constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();  // systemd's "infinity"
constexpr std::uint64_t second = 1000000;                              // in microseconds
constexpr std::uint64_t usual_period = 100000, quota_step = 10000;     // in microseconds

/// "a-b.slice" lies in "a.slice"; "-.slice" is the root.
Result<std::string> slice_path(const std::string& slice) {
    constexpr std::string_view suffix = ".slice";
    if (slice == "-.slice") return std::string();
    const auto bad = fail(ErrorKind::invalid, "linux.cgroupsPath: {} is no slice", slice);
    if (!slice.ends_with(suffix) || slice.find('/') != slice.npos) return bad;
    std::string path, prefix;
    for (const auto& part : split(slice.substr(0, slice.size() - suffix.size()), '-')) {
        if (part.empty()) return bad;
        path += fmt::format("/{}{}.slice", prefix, part);
        prefix += part + "-";
    }
    return path;
}

std::uint64_t or_unlimited(std::int64_t value) {
    return value < 0 ? unlimited : static_cast<std::uint64_t>(value);
}

void add_memory(BusProperties& out, const oci::LinuxMemory& memory) {
    if (memory.limit.value_or(0) != 0) out.emplace_back("MemoryMax", or_unlimited(*memory.limit));
    if (memory.reservation.value_or(0) != 0)
        out.emplace_back("MemoryLow", or_unlimited(*memory.reservation));
    if (memory.swap.value_or(0) < 0)
        out.emplace_back("MemorySwapMax", unlimited);
    else if (memory.swap && memory.limit.value_or(0) > 0 && *memory.swap >= *memory.limit)
        out.emplace_back("MemorySwapMax", or_unlimited(*memory.swap - *memory.limit));
}

/// systemd counts the quota for a second, in whole percents of a processor.
void add_cpu(BusProperties& out, const oci::LinuxCpu& cpu) {
    if (cpu.shares.value_or(0) != 0)
        out.emplace_back("CPUWeight", cgroup::weight_from_shares(*cpu.shares));
    const auto period = cpu.period.value_or(0) != 0 ? *cpu.period : usual_period;
    if (cpu.period.value_or(0) != 0) out.emplace_back("CPUQuotaPeriodUSec", *cpu.period);
    if (cpu.quota.value_or(0) == 0) return;
    if (*cpu.quota < 0) {
        out.emplace_back("CPUQuotaPerSecUSec", unlimited);
        return;
    }
    const auto each = static_cast<std::uint64_t>(*cpu.quota) * second / period;
    out.emplace_back("CPUQuotaPerSecUSec", (each + quota_step - 1) / quota_step * quota_step);
}

BusProperties limits(const oci::LinuxResources& resources) {
    BusProperties out;
    if (resources.memory) add_memory(out, *resources.memory);
    if (resources.cpu) add_cpu(out, *resources.cpu);
    if (resources.pids && resources.pids->limit)
        out.emplace_back("TasksMax", *resources.pids->limit > 0
                                         ? or_unlimited(*resources.pids->limit)
                                         : unlimited);
    return out;
}

BusProperties scope_properties(const oci::Spec& spec, const std::string& id, const ScopeName& name,
                               pid_t pid) {
    BusProperties out = {{"Description", "corten-runtime container " + id},
                         {"Slice", name.slice},
                         {"PIDs", std::vector<std::uint32_t>{static_cast<std::uint32_t>(pid)}},
                         {"Delegate", true},
                         {"DefaultDependencies", false},
                         {"MemoryAccounting", true},
                         {"CPUAccounting", true},
                         {"IOAccounting", true},
                         {"TasksAccounting", true}};
    if (spec.linux_section.resources)
        for (auto& limit : limits(*spec.linux_section.resources)) out.push_back(std::move(limit));
    return out;
}

/// A process that does nothing until it is killed, which happens no later than we end.
Result<sys::OwnedChild> make_placeholder() {
    const pid_t parent = ::getpid();
    auto child = TRY(sys::clone_process({}));
    if (child) return sys::OwnedChild(std::move(*child));
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != parent) ::_exit(0);
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    for (;;) ::pause();
}

/// What is left of a scope that failed would keep its name. That there is none is usual.
Result<void> forget_failed(SystemdBus& bus, const std::string& unit) {
    BusWriter body;
    body.text(unit);
    const auto done = bus.call("ResetFailedUnit", "s", body);
    if (!done && done.error().kind() != ErrorKind::not_found) return done.error();
    return {};
}

}  // namespace

Result<ScopeName> scope_name(const std::string& cgroups_path, const std::string& id) {
    const auto path = cgroups_path.empty() ? "system.slice:corten:" + id : cgroups_path;
    const auto parts = split(path, ':');
    if (parts.size() != 3 || parts[2].empty() || path.find('/') != path.npos)
        return fail(ErrorKind::invalid,
                    "linux.cgroupsPath: {} is not of the form slice:prefix:name, which "
                    "--systemd-cgroup needs",
                    path);
    if (parts[2].ends_with(".slice"))
        return fail(ErrorKind::not_built, "linux.cgroupsPath: {}: only scopes are built, no slices",
                    path);
    ScopeName name;
    name.slice = parts[0].empty() ? "system.slice" : parts[0];
    name.unit = (parts[1].empty() ? "" : parts[1] + "-") + parts[2] + ".scope";
    name.cgroup = TRY(slice_path(name.slice)) + "/" + name.unit;
    return name;
}

Result<Scope> start_scope(const oci::Spec& spec, const std::string& id) {
    Scope scope{.name = TRY(scope_name(spec.linux_section.cgroups_path, id)), .placeholder = {}};
    auto bus = TRY(SystemdBus::connect().context("--systemd-cgroup"));
    if (!TRY(cgroup::Layout::detect()).unified())
        return fail(ErrorKind::not_built, "--systemd-cgroup: only cgroup v2 is built");
    scope.placeholder = TRY(make_placeholder());
    BusWriter body;
    body.text(scope.name.unit);
    body.text("fail");  // when there is a job about a unit of this name
    write_properties(body,
                     scope_properties(spec, id, scope.name, scope.placeholder.process().pid()));
    body.end_array(body.begin_array(8), 8);
    TRY(forget_failed(bus, scope.name.unit));
    const auto job = TRY(bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body));
    TRY(bus.wait_for_job(job).context(scope.name.unit));
    return scope;
}

Result<void> update_scope(const std::string& unit, const oci::LinuxResources& resources) {
    auto bus = TRY(SystemdBus::connect());
    BusWriter body;
    body.text(unit);
    body.u32(1);  // until the next boot
    write_properties(body, limits(resources));
    TRY(bus.call("SetUnitProperties", "sba(sv)", body));
    return {};
}

Result<void> stop_scope(const std::string& unit) {
    auto bus = TRY(SystemdBus::connect());
    BusWriter body;
    body.text(unit);
    body.text("replace");
    const auto job = bus.call("StopUnit", "ss", body);
    if (!job && job.error().kind() != ErrorKind::not_found) return job.error();
    if (job) TRY(bus.wait_for_job(*job).context(unit));
    return forget_failed(bus, unit);
}

}  // namespace corten::runtime_cli
