#include "create_steps.hpp"

#include "systemd_unit.hpp"

#include <base/clock.hpp>
#include <runtime/hooks.hpp>
#include <sys/file.hpp>

#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

namespace corten::runtime_cli {
namespace {

std::string owner_name() {
    // Not getpwuid: a static program should not load name service modules.
    const auto text = sys::read_file("/etc/passwd").value_or("");
    const auto wanted = fmt::format(":{}:", ::getuid());
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const auto line = std::string_view(text).substr(at, end - at);
        const auto first = line.find(':');
        const auto second = first == line.npos ? first : line.find(':', first + 1);
        if (second != line.npos && line.substr(second).starts_with(wanted))
            return std::string(line.substr(0, first));
        at = end + 1;
    }
    return fmt::to_string(::getuid());
}

}  // namespace

Result<std::string> absolute_bundle(const std::string& bundle) {
    char resolved[PATH_MAX];
    if (::realpath(bundle.empty() ? "." : bundle.c_str(), resolved) == nullptr)
        return fail_errno("bundle {}", bundle);
    return std::string(resolved);
}

Result<std::string> read_configuration(const std::string& bundle) {
    const auto path = bundle + "/config.json";
    auto text = sys::read_file(path);
    if (!text && text.error().number() == ENOENT)
        return fail(ErrorKind::not_found, "JSON specification file {} not found", path);
    return text;
}

Result<std::string> cgroup_path(const Global& global, const oci::Spec& spec,
                                const std::string& id) {
    const auto& path = spec.linux_section.cgroups_path;
    if (global.systemd_cgroup) TRY(unit_name(path, id));
    return path.empty() && !global.systemd_cgroup ? "/" + id : path;
}

Result<Traces> traces_before(const Global& global, const oci::Spec& spec, const std::string& id) {
    const auto& path = spec.linux_section.cgroups_path;
    if (!global.systemd_cgroup) return Traces{.cgroup_path = path};
    const auto name = TRY(unit_name(path, id));
    return Traces{.cgroup_path = TRY(unit_cgroup(name)), .systemd_unit = name.unit};
}

Result<Placement> place(const oci::Spec& spec, const std::string& id, Rollback& undo) {
    Placement placed;
    const auto layout = TRY(cgroup::Layout::detect());
    auto unit = TRY(start_unit(spec, id));
    const auto path = unit.cgroup;
    placed.unit = unit.name.unit;
    placed.placeholder = std::move(unit.placeholder);
    // What systemd does not know stays when the unit is gone.
    undo.add([layout, path] {
        const auto rest = cgroup::Group::open(layout, path);
        if (rest) rest->remove().ignore();
    });
    undo.add([name = placed.unit] { stop_unit(name).ignore(); });
    placed.group = TRY(cgroup::Group::complete(layout, path));
    const auto& resources = spec.linux_section.resources;
    if (resources && resources->block_io) {
        oci::LinuxResources io;
        io.block_io = resources->block_io;
        TRY(update_unit(placed.unit, io, placed.group));
    }
    return placed;
}

Record record_of(const oci::Spec& spec, const std::string& id, const std::string& bundle) {
    Record record;
    record.oci_version = oci::runtime_spec_version;
    record.id = id;
    record.bundle = bundle;
    record.rootfs =
        spec.root->path.starts_with('/') ? spec.root->path : bundle + "/" + spec.root->path;
    record.created = rfc3339(now());
    record.owner = owner_name();
    record.annotations = spec.annotations;
    return record;
}

Result<void> check_terminal(const oci::Spec& spec, const std::string& console_socket,
                            bool detached) {
    const bool terminal = spec.process && spec.process->terminal;
    if (terminal && detached && console_socket.empty())
        return fail(ErrorKind::invalid,
                    "cannot allocate tty if runc will detach without setting console socket");
    if (!terminal && !console_socket.empty())
        return fail(ErrorKind::invalid,
                    "cannot use console socket if runc will not detach or allocate tty");
    return {};
}

void print_timings(const Global& global, const std::vector<runtime::Timing>& timings) {
    for (const auto& [phase, duration] : timings)
        log_debug(fmt::format("{} took {} us", phase, duration.count() / 1000));
    if (!global.timings) return;
    for (const auto& [phase, duration] : timings)
        fmt::print(stderr, "{:>10.1f} us  {}\n", static_cast<double>(duration.count()) / 1000.0,
                   phase);
}

void poststart(const Container& container, const oci::Spec& spec) {
    if (!spec.hooks) return;
    const auto state = container.state_as(Status::running);
    for (const auto& error : runtime::run_every_hook(spec.hooks->poststart, "poststart", state))
        log_warning(error.message());
}

}  // namespace corten::runtime_cli
