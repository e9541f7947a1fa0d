#include "commands.hpp"
#include "console.hpp"
#include "create_steps.hpp"
#include "criu.hpp"
#include "store.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/group_limits.hpp>
#include <runtime/hooks.hpp>
#include <runtime/restore_root.hpp>
#include <runtime/unbuilt.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime_cli {
namespace {

constexpr std::string_view log_file = "restore.log";

// criu_opts of rpc.proto, those of a restore.
constexpr int evasive_devices_field = 6, root_field = 13, rst_sibling_field = 26,
              join_ns_field = 39, lsm_profile_field = 53, lsm_mount_context_field = 63;

struct Restored {
    sys::OwnedChild init;
    Fd console;
    cgroup::Group group;
};

/// Namespaces other than those that criu takes as given are joined by path.
void add_joined(MessageWriter& options, const oci::Spec& spec) {
    for (const auto& space : spec.linux_section.namespaces) {
        if (space.path.empty() || space.type == "network" || space.type == "pid") continue;
        MessageWriter joined;
        joined.text(1, space.type);
        joined.text(2, space.path);
        options.message(join_ns_field, joined);
    }
}

Result<void> add_inherited(CriuRequest& request, const oci::Spec& spec, const std::string& images) {
    for (const auto& [type, path] : external_namespaces(spec))
        request.inherited.push_back({namespace_key(type), TRY(sys::open(path, O_RDONLY))});
    const auto text = TRY(sys::read_file(fmt::format("{}/{}", images, descriptors_file)));
    const auto keys = TRY(parse_as<std::vector<std::string>>(text, descriptors_file));
    for (std::size_t i = 0; i < keys.size() && i <= STDERR_FILENO; ++i)
        if (keys[i].starts_with("pipe:") || keys[i].starts_with("file["))
            request.inherited.push_back(
                {keys[i], TRY(sys::duplicate(FdView(static_cast<int>(i))))});
    return {};
}

Result<void> add_restore_options(CriuRequest& request, const oci::Spec& spec,
                                 const runtime::BundleRoot& root) {
    auto& options = request.options;
    options.number(evasive_devices_field, 1);
    options.number(rst_sibling_field, 1);
    options.text(root_field, root.path);
    for (const auto& mount : TRY(external_mounts(spec, root, request.group)))
        add_external_mount(options, mount.key, mount.source);
    if (!spec.linux_section.masked_paths.empty())
        add_external_mount(options, masked_path_key, "/dev/null");
    add_joined(options, spec);
    return {};
}

/// Hooks of the creation, when the namespaces are there and nothing runs in them yet.
Result<void> run_creation_hooks(const oci::Spec& spec, oci::State state, pid_t pid) {
    if (!spec.hooks) return {};
    state.pid = pid;
    TRY(runtime::run_hooks(spec.hooks->prestart, "prestart", state));
    return runtime::run_hooks(spec.hooks->create_runtime, "createRuntime", state);
}

/// `given` is what systemd made, if it did.
Result<cgroup::Group> make_group(const oci::Spec& spec, cgroup::Group given) {
    const auto layout = TRY(cgroup::Layout::detect());
    auto group = given.valid() ? std::move(given)
                               : TRY(cgroup::Group::create(layout, spec.linux_section.cgroups_path,
                                                           runtime::halves_for(spec)));
    Rollback undo;
    undo.add([&] { group.remove().ignore(); });
    std::vector<std::string> warnings;
    TRY(runtime::apply_resources(group, spec, warnings));
    for (const auto& warning : warnings) log_warning(warning);
    undo.commit();
    return group;
}

/// `made.init` is killed and the group removed by whoever drops them.
Result<void> restore_process(const RestoreOptions& options, const oci::Spec& spec,
                             const oci::State& state, const runtime::BundleRoot& root,
                             Restored& made) {
    auto request =
        TRY(begin_request(CriuAction::restore, options.criu, spec, IfMissing::fail, log_file));
    request.group = made.group;
    request.root = root.path;
    request.pass_stdio = true;
    request.mapped_root = &spec.linux_section;
    TRY(add_restore_options(request, spec, root));
    if (!options.lsm_profile.empty()) request.options.text(lsm_profile_field, options.lsm_profile);
    if (!options.lsm_mount_context.empty())
        request.options.text(lsm_mount_context_field, options.lsm_mount_context);
    TRY(add_inherited(request, spec, request.images));
    const auto on_stage = [&](CriuStage stage) -> Result<void> {
        if (stage.name == "setup-namespaces") return run_creation_hooks(spec, state, stage.pid);
        if (stage.name == "orphan-pts-master" && !stage.fds.empty())
            made.console = std::move(stage.fds[0]);
        return {};
    };
    const auto pid = TRY(run_criu(std::move(request), on_stage));
    made.init = sys::OwnedChild(TRY(sys::PidRef::open(pid)));
    return {};
}

Result<Container> make(const Global& global, const RestoreOptions& options, const oci::Spec& spec,
                       const std::string& configuration, const std::string& bundle,
                       Restored& made) {
    auto creation = TRY(Creation::begin(global, options.criu.id, configuration));
    TRY(creation.announce(TRY(traces_before(global, spec, options.criu.id))));
    auto record = record_of(spec, options.criu.id, bundle);
    const runtime::BundleRoot root{record.rootfs, bundle};
    TRY(runtime::make_mount_points(spec, root));
    Rollback undo;
    Placement placed;
    if (global.systemd_cgroup) placed = TRY(place(spec, options.criu.id, undo));
    made.group = TRY(make_group(spec, std::move(placed.group)).context("cgroup"));
    undo.add([&] {
        made.init = sys::OwnedChild();  // reaped before its group goes
        made.group.remove().ignore();
    });
    const oci::State state{.oci_version = spec.oci_version,
                           .id = options.criu.id,
                           .status = "creating",
                           .bundle = bundle,
                           .annotations = spec.annotations};
    TRY(restore_process(options, spec, state, root, made));
    placed.placeholder = sys::OwnedChild();
    if (made.console && !options.console_socket.empty()) {
        TRY(send_console(options.console_socket, made.console));
        made.console.reset();
    }
    const auto pid = made.init.process().pid();
    TRY(write_pid_file(options.pid_file, pid));
    undo.add([&] { remove_pid_file(options.pid_file); });
    record.pid = pid;
    record.pid_start_time = TRY(process_start_time(pid));
    record.cgroup_path = made.group.path();
    record.systemd_unit = placed.unit;
    auto container = TRY(creation.publish(std::move(record)));
    undo.commit();
    creation.keep();
    return container;
}

}  // namespace

Result<int> restore(const Global& global, const RestoreOptions& options) {
    TRY(check_id(options.criu.id));
    const auto bundle = TRY(absolute_bundle(options.bundle));
    const auto configuration = TRY(read_configuration(bundle));
    auto spec = TRY(oci::parse_spec(configuration));
    TRY(oci::validate(spec));
    TRY(runtime::refuse_unbuilt(spec.linux_section));
    TRY(check_can_criu(spec));
    TRY(check_terminal(spec, options.console_socket, options.detach));
    spec.linux_section.cgroups_path = TRY(cgroup_path(global, spec, options.criu.id));
    TRY(check_criu());
    if (!options.no_subreaper) ::prctl(PR_SET_CHILD_SUBREAPER, options.detach ? 0 : 1, 0, 0, 0);
    if (!options.detach) hold_signals();
    Restored made;
    const auto container = TRY(make(global, options, spec, configuration, bundle, made));
    poststart(container, spec);
    if (options.detach) {
        log_debug(fmt::format("process {} goes on without us", made.init.detach().pid()));
        return 0;
    }
    auto code = attend(std::move(made.init), made.console);
    if (!code) remove_pid_file(options.pid_file);
    TRY(container.destroy(spec.hooks ? spec.hooks->poststop : std::vector<oci::Hook>()));
    return code;
}

}  // namespace corten::runtime_cli
