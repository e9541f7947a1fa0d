#include "plan.hpp"

#include "id_map.hpp"
#include "root.hpp"

#include <runtime/unbuilt.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace corten::runtime {
namespace {

struct NamespaceName {
    std::string_view type;
    int flag;
    std::string_view file;
};
constexpr NamespaceName namespace_names[] = {
    {"user", CLONE_NEWUSER, "user"},       {"pid", CLONE_NEWPID, "pid"},
    {"network", CLONE_NEWNET, "net"},      {"mount", CLONE_NEWNS, "mnt"},
    {"ipc", CLONE_NEWIPC, "ipc"},          {"uts", CLONE_NEWUTS, "uts"},
    {"cgroup", CLONE_NEWCGROUP, "cgroup"}, {"time", CLONE_NEWTIME, "time"}};

/// A path that is no namespace, or another kind of one, would be joined as what it is.
Result<Fd> open_namespace(const std::string& path, std::string_view type) {
    Fd fd = TRY(sys::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY).context("linux.namespaces"));
    struct statfs info{};
    if (::fstatfs(fd.raw(), &info) < 0) return fail_errno("linux.namespaces: {}", path);
    if (info.f_type != NSFS_MAGIC || ::ioctl(fd.raw(), NS_GET_NSTYPE) != namespace_flag(type))
        return fail(ErrorKind::invalid, "linux.namespaces: {} is not a {} namespace", path, type);
    return fd;
}

/// A namespace that is joined by path and is the caller's own is shared with the host: whatever may
/// only be done in one of its own (sysctls, names) must not be done there (CVE-2025-52881).
Result<void> leave_out_own_namespaces(std::vector<oci::LinuxNamespace>& namespaces) {
    std::vector<oci::LinuxNamespace> others;
    for (auto& entry : namespaces) {
        const bool own = !entry.path.empty() &&
                         TRY(is_own_namespace(entry.type, entry.path).context("linux.namespaces"))
                             .value_or(false);
        if (!own) others.push_back(std::move(entry));
    }
    namespaces = std::move(others);
    return {};
}

Result<NamespacePlan> plan_namespaces(LaunchRequest& request) {
    NamespacePlan plan;
    for (const auto& entry : request.spec.linux_section.namespaces) {
        if (request.namespaces.contains(entry.type)) continue;
        const int flag = namespace_flag(entry.type);
        if (entry.path.empty())
            plan.created |= static_cast<std::uint64_t>(flag);
        else
            plan.joined.push_back({entry.type, flag, TRY(open_namespace(entry.path, entry.type))});
    }
    for (auto& [type, fd] : request.namespaces) {
        if (namespace_flag(type) == 0)
            return fail(ErrorKind::invalid, "\"{}\" is not a namespace", type);
        plan.joined.push_back({type, namespace_flag(type), std::move(fd)});
    }
    // The user namespace first: it gives the rights over the others.
    std::ranges::sort(plan.joined, std::greater(), [](const auto& j) { return j.type == "user"; });
    return plan;
}

}  // namespace

namespace {

/// A relative source is relative to the bundle.
Result<Fd> open_source(const MountPlan& plan, const std::string& bundle) {
    const auto source =
        plan.source.starts_with('/') ? plan.source : fmt::format("{}/{}", bundle, plan.source);
    const int follow = plan.options.src_no_follow || plan.options.copy_symlink ? O_NOFOLLOW : 0;
    return sys::open(source, O_PATH | follow);
}

/// By which path the kernel knows what is open.
Result<std::string> path_of(FdView open) {
    char path[PATH_MAX];
    const ssize_t n =
        ::readlink(fmt::format("/proc/self/fd/{}", open.raw()).c_str(), path, sizeof path);
    if (n < 0) return fail_errno("path of a descriptor");
    return std::string(path, static_cast<std::size_t>(n));
}

/// Whether the source is in the directory that is to become the root.
Result<bool> is_in_root(const MountPlan& mount, const LaunchPlan& launch) {
    if (launch.root_mount || mount.source_object) return false;
    const auto source = open_source(mount, launch.bundle);
    const auto root = sys::open(launch.root_path, O_PATH | O_DIRECTORY);
    if (!source || !root) return false;  // whoever needs them says what is wrong with them
    const auto inside = TRY(path_of(*root));
    return (TRY(path_of(*source)) + "/").starts_with(inside + "/");
}

}  // namespace

Result<void> open_bind_source(MountPlan& plan, const std::string& bundle) {
    const Fd at =
        plan.source_object ? std::move(plan.source_object) : TRY(open_source(plan, bundle));
    struct ::stat info{};
    if (::fstat(at.raw(), &info) < 0) return fail_errno("{}", plan.source);
    if (plan.options.copy_symlink && S_ISLNK(info.st_mode)) {
        char target[PATH_MAX];
        const ssize_t n = ::readlinkat(at.raw(), "", target, sizeof target);
        if (n < 0) return fail_errno("read link {}", plan.source);
        plan.link.assign(target, static_cast<std::size_t>(n));
        return {};
    }
    plan.directory = S_ISDIR(info.st_mode);
    plan.tree = TRY(sys::clone_mount(
        at, "", plan.options.recursive_bind ? sys::Depth::recursive : sys::Depth::single));
    return {};
}

Result<void> apply_id_map(MountPlan& mount) {
    if (!mount.id_map) return {};
    const auto depth = mount.options.recursive_idmap ? sys::Depth::recursive : sys::Depth::single;
    TRY(sys::set_mount_attributes(
        mount.tree, {.set = MOUNT_ATTR_IDMAP, .user_namespace = mount.id_map}, depth));
    mount.id_map.reset();
    return {};
}

namespace {

/// As runc has it, one that names the host's path of the root means what is below that.
std::string destination_of(const oci::Mount& mount, const LaunchPlan& launch) {
    const auto& given = mount.destination;
    const auto below = clean_path(launch.root_path) + "/";
    const auto path = clean_path(given);
    if (!launch.root_mount && below != "//" && path.starts_with(below))
        return path.substr(below.size() - 1);
    return given.starts_with('/') ? given : "/" + given;
}

Result<MountPlan> plan_mount(const oci::Mount& mount, std::size_t index, const LaunchPlan& launch,
                             std::map<std::string, Fd>& sources) {
    MountPlan plan;
    if (const auto given = sources.find(mount.destination); given != sources.end())
        plan.source_object = std::move(given->second);
    plan.field = fmt::format("mounts[{}]", index);
    plan.type = mount.type;
    plan.source = mount.source;
    plan.destination = destination_of(mount, launch);
    plan.options = TRY(parse_mount_options(mount, plan.field));
    TRY(check_destination(plan));
    plan.read_only_later = clean_path(plan.destination) == "/dev" &&
                           (plan.options.set & MOUNT_ATTR_RDONLY) != 0 && !plan.options.bind;
    if (plan.read_only_later) plan.options.set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
    if (!plan.options.bind && mount.type.empty())
        return fail(ErrorKind::invalid, "{}.type: is missing", plan.field);
    if (plan.options.idmap) {
        const auto& section = launch.spec.linux_section;
        const bool own = !mount.uid_mappings.empty();
        const auto& uids = own ? mount.uid_mappings : section.uid_mappings;
        const auto& gids = own ? mount.gid_mappings : section.gid_mappings;
        if (uids.empty() || gids.empty())
            return fail(ErrorKind::invalid, "{}.uidMappings: idmap needs a mapping", plan.field);
        plan.id_map = TRY(make_user_namespace(uids, gids).context(plan.field));
    }
    // An ordinary user may copy mounts only in a namespace of its own: the new process does it.
    if (!plan.options.bind || ::geteuid() != 0) return plan;
    // The mounts before this one are part of it: the new process opens it in its turn.
    if (TRY(is_in_root(plan, launch))) return plan;
    auto opened = open_bind_source(plan, launch.bundle);
    // It may come with a mount before this one: then the new process finds it.
    if (!opened && opened.error().number() == ENOENT) return plan;
    TRY(std::move(opened).context(
        fmt::format("{}: bind {} to {}", plan.field, mount.source, mount.destination)));
    // In a user namespace of its own the new process may not.
    if (plan.tree) TRY(apply_id_map(plan));
    return plan;
}

Result<void> check_isolation(const LaunchPlan& plan) {
    const auto& names = plan.namespaces;
    if (!names.own(CLONE_NEWNS) && plan.root_mount.valid())
        return fail(ErrorKind::invalid, "linux.namespaces: a root mount needs a mount namespace");
    if (names.makes(CLONE_NEWUSER) && names.joins(CLONE_NEWNS) != nullptr)
        return fail(ErrorKind::unsupported,
                    "linux.namespaces: a new user namespace has no rights "
                    "over a mount namespace that exists");
    return {};
}

std::string absolute_root(const oci::Spec& spec, const std::string& bundle) {
    const auto& path = spec.root->path;
    return path.starts_with('/') ? path : fmt::format("{}/{}", bundle, path);
}

}  // namespace

int namespace_flag(std::string_view type) {
    for (const auto& entry : namespace_names)
        if (entry.type == type) return entry.flag;
    return 0;
}

std::string namespace_file(std::string_view type) {
    for (const auto& entry : namespace_names)
        if (entry.type == type) return std::string(entry.file);
    return "";
}

Result<std::optional<bool>> is_own_namespace(std::string_view type, const std::string& path) {
    const auto own = fmt::format("/proc/self/ns/{}", namespace_file(type));
    struct ::stat asked{}, ours{};
    for (const auto& [name, info] : {std::pair(&path, &asked), std::pair(&own, &ours)}) {
        if (::stat(name->c_str(), info) == 0) continue;
        if (errno == ENOENT) return std::optional<bool>();
        return fail_errno("{}", *name);
    }
    return std::optional(asked.st_dev == ours.st_dev && asked.st_ino == ours.st_ino);
}

const JoinedNamespace* NamespacePlan::joins(int flag) const {
    const auto found = std::ranges::find(joined, flag, &JoinedNamespace::flag);
    return found == joined.end() ? nullptr : &*found;
}

bool NamespacePlan::own(std::uint64_t flag) const {
    return makes(flag) || joins(static_cast<int>(flag)) != nullptr;
}

oci::State LaunchPlan::state(std::string_view status, pid_t pid) const {
    return {.oci_version = spec.oci_version,
            .id = id,
            .status = std::string(status),
            .pid = pid,
            .bundle = bundle,
            .annotations = spec.annotations};
}

bool LaunchPlan::has_hooks_before_pivot() const {
    return spec.hooks && !(spec.hooks->prestart.empty() && spec.hooks->create_runtime.empty());
}

bool LaunchPlan::mounts_on_host() const {
    return !namespaces.own(CLONE_NEWNS) && !mounts.empty() && clean_path(root_path) != "/";
}

Result<LaunchPlan> make_plan(LaunchRequest request) {
    TRY(leave_out_own_namespaces(request.spec.linux_section.namespaces));
    TRY(oci::validate(request.spec));
    TRY(refuse_unbuilt(request.spec.linux_section));
    TRY(check_mount_label(request.spec.linux_section.mount_label));
    LaunchPlan plan;
    plan.namespaces = TRY(plan_namespaces(request));
    plan.process =
        TRY(plan_process(std::move(*request.spec.process), request.spec.linux_section.seccomp,
                         request.seccomp_program, plan.warnings));
    plan.process.stdio = request.stdio;
    plan.process.preserve_fds = request.preserve_fds;
    plan.root_path = absolute_root(request.spec, request.bundle);
    plan.root_mount = std::move(request.root_mount);
    plan.start_listener = std::move(request.start_listener);
    plan.die_with_parent = request.die_with_parent;
    plan.no_pivot = request.no_pivot;
    plan.no_new_keyring = request.no_new_keyring;
    plan.optional_cgroup = request.optional_cgroup;
    plan.needs_id_maps = plan.namespaces.makes(CLONE_NEWUSER);
    plan.id = std::move(request.id);
    plan.bundle = std::move(request.bundle);
    plan.spec = std::move(request.spec);
    for (std::size_t i = 0; i < plan.spec.mounts.size(); ++i)
        plan.mounts.push_back(TRY(plan_mount(plan.spec.mounts[i], i, plan, request.mount_sources)));
    TRY(check_isolation(plan));
    plan.process.container = plan.state("creating", 0);
    return plan;
}

}  // namespace corten::runtime
