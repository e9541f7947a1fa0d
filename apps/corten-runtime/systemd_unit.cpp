#include "systemd_unit.hpp"

#include "systemd_annotations.hpp"
#include "systemd_limits.hpp"

#include <base/text.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>

#include <cgroup/layout.hpp>
#include <signal.h>
#include <unistd.h>

namespace corten::runtime_cli {
namespace {

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

/// A systemd, and where its units are.
struct Systemd {
    Manager manager = Manager::system;
    SystemdBus bus;
    cgroup::Layout layout;
    std::string group;  ///< that all its units are below; "" for the machine's, which is at the top
    bool v2() const { return layout.unified(); }
};

Result<Systemd> connect() {
    const auto manager = reachable_manager();
    Systemd systemd{.manager = manager,
                    .bus = TRY(SystemdBus::connect(manager).context("--systemd-cgroup")),
                    .layout = TRY(cgroup::Layout::detect()),
                    .group = ""};
    if (manager == Manager::system) return systemd;
    if (!systemd.v2())
        return fail(ErrorKind::unsupported,
                    "--systemd-cgroup: an ordinary user's systemd has groups on cgroup v2 only");
    systemd.group = TRY(systemd.bus.property("ControlGroup"));
    return systemd;
}

Result<void> start_transient(Systemd& systemd, const std::string& unit,
                             const BusProperties& properties) {
    BusWriter body;
    body.text(unit);
    body.text("fail");  // when there is a job about a unit of this name
    write_properties(body, properties);
    body.end_array(body.begin_array(8), 8);
    const auto job = TRY(systemd.bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body));
    return systemd.bus.wait_for_job(job).context(unit);
}

std::vector<std::uint32_t> process_list(pid_t pid) {
    return {static_cast<std::uint32_t>(pid)};
}

/// A group takes a process from another only by the hand of who may write to the group above both:
/// for a user's units that is the user when the process is below the user's systemd already, else
/// systemd. It takes this process into a scope, which ends with it.
Result<void> move_below(Systemd& systemd) {
    if (systemd.manager == Manager::system) return {};
    if (systemd.layout.v2->own_path.starts_with(systemd.group + "/")) return {};
    const auto unit = fmt::format("corten-runtime-{}.scope", ::getpid());
    return start_transient(systemd, unit,
                           {{"Description", "corten-runtime"},
                            {"CollectMode", "inactive-or-failed"},
                            {"PIDs", process_list(::getpid())}});
}

/// Before 252 systemd takes no weight for an idle group, and leaves what is written to its file.
Result<bool> knows_idle(SystemdBus& bus) {
    const auto version = TRY(bus.property("Version"));  // "252.39-1~deb12u1"
    return std::atoi(version.c_str()) >= 252;
}

/// `group` is the unit's directory on v2, "" before that is there.
Result<BusProperties> limits_for(Systemd& systemd, const oci::LinuxResources& resources,
                                 const std::string& group) {
    LimitsHost host{.v2 = systemd.v2(),
                    .has_bfq = !group.empty() && sys::exists(group + "/io.bfq.weight")};
    const bool idle = resources.cpu && resources.cpu->idle.value_or(0) != 0;
    if (idle || resources.unified.contains("cpu.idle"))
        host.knows_idle = TRY(knows_idle(systemd.bus));
    return unit_limits(resources, host);
}

void append(BusProperties& out, BusProperties more) {
    out.insert(out.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
}

/// A slice lies where its name says, and is delegated to nobody.
Result<BusProperties> unit_properties(const Systemd& systemd, const oci::Spec& spec,
                                      const std::string& id, const UnitName& name) {
    BusProperties out = {{"Description", "corten-runtime container " + id},
                         {"DefaultDependencies", false},
                         {"MemoryAccounting", true},
                         {"CPUAccounting", true},
                         {systemd.v2() ? "IOAccounting" : "BlockIOAccounting", true},
                         {"TasksAccounting", true}};
    if (!name.is_slice()) {
        out.emplace_back("Slice", name.slice);
        out.emplace_back("Delegate", true);
    }
    if (!systemd.v2()) append(out, TRY(unit_devices(spec)));
    append(out, TRY(annotated_properties(spec.annotations)));
    return out;
}

/// systemd takes a group that is there for ours: all that is in a slice would end with it, and in a
/// frozen scope nothing would begin.
Result<void> refuse_taken(const Systemd& systemd, const Unit& unit) {
    const auto there = cgroup::Group::open(systemd.layout, unit.cgroup);
    if (!there)
        return there.error().kind() == ErrorKind::not_found ? Result<void>() : there.error();
    if (unit.name.is_slice())
        return fail(ErrorKind::conflict, "linux.cgroupsPath: {} exists already", unit.name.unit);
    return there->refuse_if_in_use();
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

Result<void> set_properties(SystemdBus& bus, const std::string& unit,
                            const BusProperties& properties) {
    if (properties.empty()) return {};
    BusWriter body;
    body.text(unit);
    body.u32(1);  // until the next boot
    write_properties(body, properties);
    TRY(bus.call("SetUnitProperties", "sba(sv)", body));
    return {};
}

}  // namespace

bool UnitName::is_slice() const {
    return unit.ends_with(".slice");
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
        name.place = TRY(slice_path(name.unit));
        if (name.place.empty())
            return fail(ErrorKind::invalid, "linux.cgroupsPath: {} is all of the host", name.unit);
        name.slice = parent_slice(name.unit);
        if (parts[0].empty() || parts[0] == name.slice) return name;
        return fail(ErrorKind::invalid, "linux.cgroupsPath: {} lies in {}, not in {}", name.unit,
                    name.slice, parts[0]);
    }
    const char* usual = reachable_manager() == Manager::system ? "system.slice" : "user.slice";
    name.slice = parts[0].empty() ? usual : parts[0];
    name.unit = (parts[1].empty() ? "" : parts[1] + "-") + parts[2] + ".scope";
    name.place = TRY(slice_path(name.slice)) + "/" + name.unit;
    return name;
}

Result<std::string> unit_cgroup(const UnitName& name) {
    if (reachable_manager() == Manager::system) return name.place;
    return TRY(connect()).group + name.place;
}

Result<Unit> start_unit(const oci::Spec& spec, const std::string& id) {
    Unit unit{.name = TRY(unit_name(spec.linux_section.cgroups_path, id)),
              .cgroup = "",
              .placeholder = {}};
    auto systemd = TRY(connect());
    unit.cgroup = systemd.group + unit.name.place;
    TRY(refuse_taken(systemd, unit));
    TRY(move_below(systemd));
    auto limits = spec.linux_section.resources.value_or(oci::LinuxResources{});
    limits.block_io.reset();
    auto properties = TRY(unit_properties(systemd, spec, id, unit.name));
    append(properties, TRY(limits_for(systemd, limits, "")));
    if (!unit.name.is_slice()) {
        unit.placeholder = TRY(make_placeholder());
        properties.emplace_back("PIDs", process_list(unit.placeholder.process().pid()));
    }
    TRY(forget_failed(systemd.bus, unit.name.unit));
    TRY(start_transient(systemd, unit.name.unit, properties));
    return unit;
}

Result<void> update_unit(const std::string& unit, const oci::LinuxResources& resources,
                         const cgroup::Group& group) {
    auto systemd = TRY(connect());
    return set_properties(systemd.bus, unit,
                          TRY(limits_for(systemd, resources, group.directory(""))));
}

Result<void> join_manager() {
    if (reachable_manager() == Manager::system) return {};
    auto systemd = TRY(connect());
    return move_below(systemd);
}

Result<void> stop_unit(const std::string& unit) {
    auto bus = TRY(SystemdBus::connect(reachable_manager()));
    BusWriter body;
    body.text(unit);
    body.text("replace");
    const auto job = bus.call("StopUnit", "ss", body);
    if (!job && job.error().kind() != ErrorKind::not_found) return job.error();
    if (job) TRY(bus.wait_for_job(*job).context(unit));
    return forget_failed(bus, unit);
}

}  // namespace corten::runtime_cli
