#include "systemd_unit.hpp"

#include "systemd_bus.hpp"

#include <base/text.hpp>
#include <runtime/group_limits.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>

#include <cgroup/convert.hpp>
#include <cgroup/group.hpp>
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

/// "a-b.slice" -> "a.slice"; the root's is its own.
std::string parent_slice(const std::string& slice) {
    const auto dash = slice.rfind('-');
    return dash == slice.npos || dash == 0 ? "-.slice" : slice.substr(0, dash) + ".slice";
}

std::uint64_t or_unlimited(std::int64_t value) {
    return value < 0 ? unlimited : static_cast<std::uint64_t>(value);
}

/// What systemd calls the limits of v1 is deprecated, and the only thing that it writes there.
void add_memory(BusProperties& out, const oci::LinuxMemory& memory, bool v2) {
    if (memory.limit.value_or(0) != 0)
        out.emplace_back(v2 ? "MemoryMax" : "MemoryLimit", or_unlimited(*memory.limit));
    if (!v2) return;  // the rest is for files
    if (memory.reservation.value_or(0) != 0)
        out.emplace_back("MemoryLow", or_unlimited(*memory.reservation));
    if (memory.swap.value_or(0) < 0)
        out.emplace_back("MemorySwapMax", unlimited);
    else if (memory.swap && memory.limit.value_or(0) > 0 && *memory.swap >= *memory.limit)
        out.emplace_back("MemorySwapMax", or_unlimited(*memory.swap - *memory.limit));
}

/// systemd counts the quota for a second, in whole percents of a processor.
void add_cpu(BusProperties& out, const oci::LinuxCpu& cpu, bool v2) {
    const auto shares = cpu.shares.value_or(0);
    if (shares != 0)
        out.emplace_back(v2 ? "CPUWeight" : "CPUShares",
                         v2 ? cgroup::weight_from_shares(shares) : shares);
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

BusProperties limits(const oci::LinuxResources& resources, bool v2) {
    BusProperties out;
    if (resources.memory) add_memory(out, *resources.memory, v2);
    if (resources.cpu) add_cpu(out, *resources.cpu, v2);
    if (!v2 && resources.block_io && resources.block_io->weight.value_or(0) != 0)
        out.emplace_back("BlockIOWeight", std::uint64_t{*resources.block_io->weight});
    if (resources.pids && resources.pids->limit)
        out.emplace_back("TasksMax", *resources.pids->limit > 0
                                         ? or_unlimited(*resources.pids->limit)
                                         : unlimited);
    return out;
}

/// As systemd.resource-control(5) names devices; "" for a driver that the kernel does not have.
std::string device_name(char type, const oci::DeviceRule& rule, std::string_view devices) {
    const std::string_view kind = type == 'c' ? "char" : "block";
    const auto major = rule.major.value_or(-1), minor = rule.minor.value_or(-1);
    if (major < 0) return fmt::format("{}-*", kind);
    if (minor >= 0) return fmt::format("/dev/{}/{}:{}", kind, major, minor);
    const auto driver = driver_name(devices, type, major);
    return driver.empty() ? "" : fmt::format("{}-{}", kind, driver);
}

bool overlap(const oci::DeviceRule& one, const oci::DeviceRule& other) {
    const auto meet = [](const auto& a, const auto& b) {
        return a.value_or(-1) < 0 || b.value_or(-1) < 0 || *a == *b;
    };
    const auto both = [](const std::string& type) { return type.empty() || type == "a"; };
    return (both(one.type) || both(other.type) || one.type == other.type) &&
           meet(one.major, other.major) && meet(one.minor, other.minor);
}

/// systemd writes its rules into v1's file whenever it likes: they have to be the container's. It
/// can only allow; what a later rule denies in part it is not told of, so that it opens nothing.
Result<void> add_devices(BusProperties& out, const oci::Spec& spec) {
    const auto rules = runtime::device_rules(spec);
    if (rules.empty()) return {};
    std::vector<oci::DeviceRule> allowed;
    for (const auto& rule : rules) {
        if (rule.allow)
            allowed.push_back(rule);
        else
            std::erase_if(allowed, [&](const auto& earlier) { return overlap(earlier, rule); });
    }
    const auto devices = TRY(sys::read_file("/proc/devices"));
    BusPairs names;
    for (const auto& rule : allowed)
        for (const char type : {'c', 'b'}) {
            if (rule.type.size() == 1 && rule.type[0] != 'a' && rule.type[0] != type) continue;
            const auto name = device_name(type, rule, devices);
            if (!name.empty()) names.emplace_back(name, rule.access.empty() ? "rwm" : rule.access);
        }
    out.emplace_back("DevicePolicy", "strict");
    out.emplace_back("DeviceAllow", std::move(names));
    return {};
}

/// A slice lies where its name says, and is delegated to nobody.
Result<BusProperties> unit_properties(const oci::Spec& spec, const std::string& id,
                                      const UnitName& name, bool v2) {
    BusProperties out = {{"Description", "corten-runtime container " + id},
                         {"DefaultDependencies", false},
                         {"MemoryAccounting", true},
                         {"CPUAccounting", true},
                         {v2 ? "IOAccounting" : "BlockIOAccounting", true},
                         {"TasksAccounting", true}};
    if (!name.is_slice()) {
        out.emplace_back("Slice", name.slice);
        out.emplace_back("Delegate", true);
    }
    if (!v2) TRY(add_devices(out, spec));
    if (spec.linux_section.resources)
        for (auto& limit : limits(*spec.linux_section.resources, v2))
            out.push_back(std::move(limit));
    return out;
}

/// systemd would take a slice that is there for ours, and all that is in it would end with it.
Result<void> refuse_existing_slice(const UnitName& name) {
    if (!name.is_slice()) return {};
    const auto there = cgroup::Group::open(TRY(cgroup::Layout::detect()), name.cgroup);
    if (there) return fail(ErrorKind::conflict, "linux.cgroupsPath: {} exists already", name.unit);
    if (there.error().kind() != ErrorKind::not_found) return there.error();
    return {};
}

Result<bool> is_v2() {
    return TRY(cgroup::Layout::detect()).unified();
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

/// What is left of a unit that failed would keep its name. That there is none is usual.
Result<void> forget_failed(SystemdBus& bus, const std::string& unit) {
    BusWriter body;
    body.text(unit);
    const auto done = bus.call("ResetFailedUnit", "s", body);
    if (!done && done.error().kind() != ErrorKind::not_found) return done.error();
    return {};
}

}  // namespace

bool UnitName::is_slice() const {
    return unit.ends_with(".slice");
}

std::string driver_name(std::string_view devices, char type, std::int64_t major) {
    const std::string_view heading = type == 'c' ? "Character devices:" : "Block devices:";
    bool ours = false;
    for (const auto& line : split(devices, '\n')) {
        const auto [number, name] = split_once(trim(line), ' ');
        if (line.ends_with(':')) ours = line == heading;
        if (ours && number == fmt::to_string(major)) return std::string(name);
    }
    return "";
}

Result<UnitName> unit_name(const std::string& cgroups_path, const std::string& id) {
    const auto path = cgroups_path.empty() ? ":corten:" + id : cgroups_path;
    const auto parts = split(path, ':');
    if (parts.size() != 3 || parts[2].empty() || path.find('/') != path.npos)
        return fail(ErrorKind::invalid,
                    "linux.cgroupsPath: {} is not of the form slice:prefix:name, which "
                    "--systemd-cgroup needs",
                    path);
    UnitName name;
    if (parts[2].ends_with(".slice")) {
        name.unit = parts[2];
        name.cgroup = TRY(slice_path(name.unit));
        if (name.cgroup.empty())
            return fail(ErrorKind::invalid, "linux.cgroupsPath: {} is all of the host", name.unit);
        name.slice = parent_slice(name.unit);
        if (parts[0].empty() || parts[0] == name.slice) return name;
        return fail(ErrorKind::invalid, "linux.cgroupsPath: {} lies in {}, not in {}", name.unit,
                    name.slice, parts[0]);
    }
    const char* usual = ::geteuid() == 0 ? "system.slice" : "user.slice";
    name.slice = parts[0].empty() ? usual : parts[0];
    name.unit = (parts[1].empty() ? "" : parts[1] + "-") + parts[2] + ".scope";
    name.cgroup = TRY(slice_path(name.slice)) + "/" + name.unit;
    return name;
}

Result<Unit> start_unit(const oci::Spec& spec, const std::string& id) {
    Unit unit{.name = TRY(unit_name(spec.linux_section.cgroups_path, id)), .placeholder = {}};
    auto bus = TRY(SystemdBus::connect().context("--systemd-cgroup"));
    TRY(refuse_existing_slice(unit.name));
    auto properties = TRY(unit_properties(spec, id, unit.name, TRY(is_v2())));
    if (!unit.name.is_slice()) {
        unit.placeholder = TRY(make_placeholder());
        const auto pid = static_cast<std::uint32_t>(unit.placeholder.process().pid());
        properties.emplace_back("PIDs", std::vector<std::uint32_t>{pid});
    }
    BusWriter body;
    body.text(unit.name.unit);
    body.text("fail");  // when there is a job about a unit of this name
    write_properties(body, properties);
    body.end_array(body.begin_array(8), 8);
    TRY(forget_failed(bus, unit.name.unit));
    const auto job = TRY(bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body));
    TRY(bus.wait_for_job(job).context(unit.name.unit));
    return unit;
}

Result<void> update_unit(const std::string& unit, const oci::LinuxResources& resources) {
    auto bus = TRY(SystemdBus::connect());
    BusWriter body;
    body.text(unit);
    body.u32(1);  // until the next boot
    write_properties(body, limits(resources, TRY(is_v2())));
    TRY(bus.call("SetUnitProperties", "sba(sv)", body));
    return {};
}

Result<void> stop_unit(const std::string& unit) {
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
