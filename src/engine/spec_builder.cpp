#include "spec_builder.hpp"

#include "limits.hpp"
#include "security.hpp"

#include <base/ids.hpp>
#include <base/text.hpp>

#include <algorithm>

namespace corten::engine {

bool is_container_mode(std::string_view mode) {
    return mode.starts_with("container:");
}
std::string_view container_of_mode(std::string_view mode) {
    return mode.substr(mode.find(':') + 1);
}

namespace {

using Options = std::vector<std::string>;

oci::Mount mount(std::string destination, std::string type, std::string source, Options options) {
    oci::Mount out;
    out.destination = std::move(destination);
    out.type = std::move(type);
    out.source = std::move(source);
    out.options = std::move(options);
    return out;
}

oci::Mount bind_mount(std::string destination, std::string source,
                      Options options = {"rbind", "rprivate"}) {
    return mount(std::move(destination), "bind", std::move(source), std::move(options));
}

/// /sys and the cgroup view: read-only unless privileged.
void add_system_mounts(std::vector<oci::Mount>& mounts, bool privileged) {
    const std::string access = privileged ? "rw" : "ro";
    mounts.push_back(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
    mounts.push_back(
        mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
    mounts.push_back(
        mount("/dev/pts", "devpts", "devpts",
              {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
    mounts.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}));
    mounts.push_back(
        mount("/sys/fs/cgroup", "cgroup", "cgroup", {access, "nosuid", "noexec", "nodev"}));
}

void add_ipc_mounts(std::vector<oci::Mount>& mounts, const SpecInputs& in) {
    const auto& host = in.container.host;
    // The queues of the namespace that the container is in: the host's with --ipc host, even where
    // the host has them mounted nowhere.
    mounts.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
    if (host.ipc_mode == "host") {
        mounts.push_back(bind_mount("/dev/shm", "/dev/shm"));
        return;
    }
    if (host.ipc_mode == "none") return;
    if (!in.shm_source.empty())
        mounts.push_back(bind_mount("/dev/shm", in.shm_source));
    else
        mounts.push_back(mount(
            "/dev/shm", "tmpfs", "shm",
            {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", host.shm_size)}));
}

void add_file_mounts(std::vector<oci::Mount>& mounts, const SpecInputs& in) {
    Options options = {"rbind", "rprivate"};
    if (in.container.host.readonly_rootfs) options.push_back("ro");
    for (const char* name : {"resolv.conf", "hostname", "hosts"})
        mounts.push_back(bind_mount(fmt::format("/etc/{}", name),
                                    fmt::format("{}/{}", in.files, name), options));
    if (!in.init_program.empty())
        mounts.push_back(bind_mount("/sbin/docker-init", in.init_program, {"bind", "ro"}));
}

/// noexec, nosuid and nodev unless the user says otherwise.
Options tmpfs_options(const PlannedMount& plan) {
    Options options = {"noexec", "nosuid", "nodev", "rprivate"};
    if (plan.read_only) options.push_back("ro");
    for (auto& word : split(plan.tmpfs_options, ',')) {
        if (word.empty()) continue;
        if (word == "exec" || word == "suid" || word == "dev") std::erase(options, "no" + word);
        options.push_back(std::move(word));
    }
    return options;
}

oci::Mount user_mount(const ResolvedMount& resolved) {
    const PlannedMount& plan = resolved.plan;
    if (plan.type == "tmpfs") return mount(plan.target, "tmpfs", "tmpfs", tmpfs_options(plan));
    Options options = {plan.recursive ? "rbind" : "bind"};
    // What is mounted in a volume on the host later is seen in the container too, as with docker.
    const std::string_view usual = plan.type == "volume" ? "rslave" : "rprivate";
    options.emplace_back(plan.propagation.empty() ? usual : plan.propagation);
    if (plan.read_only)
        options.push_back(plan.recursive_read_only && plan.recursive ? "rro" : "ro");
    return bind_mount(plan.target, resolved.source, std::move(options));
}

/// The user's mounts replace defaults on and below the same place and come after them, parents
/// first.
std::vector<oci::Mount> merge_mounts(std::vector<oci::Mount> defaults,
                                     const std::vector<ResolvedMount>& user) {
    std::vector<oci::Mount> own;
    own.reserve(user.size());
    for (const auto& resolved : user) own.push_back(user_mount(resolved));
    std::ranges::sort(own, {}, [](const oci::Mount& m) {
        return std::pair(std::ranges::count(m.destination, '/'), std::string_view(m.destination));
    });
    std::erase_if(defaults, [&](const oci::Mount& m) {
        return std::ranges::any_of(own, [&](const oci::Mount& u) {
            return m.destination == u.destination || m.destination.starts_with(u.destination + "/");
        });
    });
    defaults.insert(defaults.end(), std::make_move_iterator(own.begin()),
                    std::make_move_iterator(own.end()));
    return defaults;
}

std::vector<oci::LinuxNamespace> namespaces_of(const SpecInputs& in) {
    const auto& host = in.container.host;
    std::vector<oci::LinuxNamespace> list = {{.type = "mount", .path = {}}};
    if (host.network_mode != "host") list.push_back({.type = "network", .path = {}});
    if (host.uts_mode != "host") list.push_back({.type = "uts", .path = {}});
    if (host.pid_mode != "host") list.push_back({.type = "pid", .path = {}});
    if (host.ipc_mode != "host") list.push_back({.type = "ipc", .path = {}});
    const bool private_cgroups = host.cgroupns_mode == "private";
    if (private_cgroups) list.push_back({.type = "cgroup", .path = {}});
    return list;
}

Result<void> fill_linux(oci::Spec& spec, const SpecInputs& in) {
    const auto& host = in.container.host;
    oci::Linux& section = spec.linux_section;
    section.namespaces = namespaces_of(in);
    section.cgroups_path = in.cgroup_path;
    section.sysctl = host.sysctls;
    auto devices = TRY(plan_devices(host));
    section.devices = std::move(devices.nodes);
    section.resources = TRY(linux_resources(host));
    section.resources->devices = std::move(devices.rules);
    if (host.privileged) return {};
    section.masked_paths = host.masked_paths.value_or(default_masked_paths());
    section.readonly_paths = host.readonly_paths.value_or(default_readonly_paths());
    return {};
}

}  // namespace

std::vector<std::string> container_environment(const apitypes::ContainerConfig& config,
                                               bool terminal) {
    std::vector<std::string> environment = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=" + config.hostname};
    if (terminal) environment.push_back("TERM=xterm");
    for (const auto& entry : apitypes::items(config.env)) {
        const auto name = split_once(entry, '=').first;
        const auto same = std::ranges::find_if(
            environment, [&](const auto& other) { return split_once(other, '=').first == name; });
        if (same == environment.end())
            environment.push_back(entry);
        else
            *same = entry;
    }
    return environment;
}

Result<oci::Process> build_process(const ProcessInputs& in) {
    oci::Process process;
    process.terminal = in.terminal;
    process.args = in.args;
    process.env = container_environment(in.config, in.terminal);
    process.cwd = in.config.working_dir.empty() ? "/" : in.config.working_dir;
    process.user.uid = in.user.uid;
    process.user.gid = in.user.gid;
    process.user.additional_gids = in.user.additional_gids;
    const auto security = TRY(parse_security_options(in.host));
    process.no_new_privileges = security.no_new_privileges;
    process.apparmor_profile = apparmor_profile(security, in.host.privileged, in.facts);
    oci::LinuxCapabilities capabilities;
    capabilities.bounding =
        in.privileged ? in.facts.capabilities : TRY(capabilities_of(in.host, in.facts));
    // Another user than root has them in the bounding set only (CVE-2016-8867); inheritable and
    // ambient sets stay empty for everybody (CVE-2022-24769, CVE-2022-27650).
    if (in.user.uid == 0) {
        capabilities.effective = capabilities.bounding;
        capabilities.permitted = capabilities.bounding;
    }
    process.capabilities = std::move(capabilities);
    process.rlimits = TRY(posix_rlimits(in.ulimits));
    const bool has_home =
        std::ranges::any_of(process.env, [](const auto& e) { return e.starts_with("HOME="); });
    if (!has_home) process.env.push_back("HOME=" + in.user.home);
    return process;
}

namespace {

std::vector<std::string> command_line(const SpecInputs& in) {
    std::vector<std::string> args;
    if (!in.init_program.empty()) args = {"/sbin/docker-init", "--"};
    args.push_back(in.container.path);
    args.insert(args.end(), in.container.args.begin(), in.container.args.end());
    return args;
}

}  // namespace

Result<oci::Spec> build_spec(const SpecInputs& in) {
    const auto& config = in.container.config;
    const auto& host = in.container.host;
    oci::Spec spec;
    spec.root = oci::Root{.path = "rootfs", .readonly = host.readonly_rootfs};
    spec.process = TRY(build_process({.config = config,
                                      .host = host,
                                      .facts = in.facts,
                                      .user = in.user,
                                      .ulimits = in.ulimits,
                                      .args = command_line(in),
                                      .terminal = config.tty,
                                      .privileged = host.privileged}));
    spec.process->oom_score_adj = oom_score(host, in.facts);
    if (host.uts_mode != "host") {
        spec.hostname = config.hostname;
        spec.domainname = config.domainname;
    }
    std::vector<oci::Mount> mounts;
    add_system_mounts(mounts, host.privileged);
    add_ipc_mounts(mounts, in);
    add_file_mounts(mounts, in);
    spec.mounts = merge_mounts(std::move(mounts), in.mounts);
    spec.annotations = host.annotations;
    TRY(fill_linux(spec, in));
    return spec;
}

}  // namespace corten::engine
