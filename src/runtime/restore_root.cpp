#include "id_map.hpp"
#include "root.hpp"

#include <runtime/restore_root.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ranges>
#include <span>

namespace corten::runtime {
namespace {

/// The mount that a later one's place is in; nullptr when that is the root's.
const oci::Mount* mount_above(std::span<const oci::Mount> earlier, const std::string& path) {
    for (const auto& mount : std::views::reverse(earlier))
        if (path.starts_with(clean_path(mount.destination) + "/")) return &mount;
    return nullptr;
}

Result<Target> target_of(const oci::Mount& mount, const std::string& bundle) {
    if (!is_bind(mount)) return Target::directory;
    const auto source = TRY(sys::stat(bind_source(mount, bundle)));
    return S_ISDIR(source.st_mode) ? Target::directory : Target::file;
}

/// The map of one id: root's, to what it is on the host.
std::vector<oci::IdMapping> only_root(const std::vector<oci::IdMapping>& mappings) {
    for (const auto& map : mappings)
        if (map.container_id == 0) return {{.container_id = 0, .host_id = map.host_id, .size = 1}};
    return {};
}

Result<Fd> open_in_mapped_mount(const std::string& top, const std::string& name, FdView id_map) {
    const Fd tree = TRY(sys::clone_mount(FdView(AT_FDCWD), top, sys::Depth::single));
    TRY(sys::set_mount_attributes(tree, {.set = MOUNT_ATTR_IDMAP, .user_namespace = id_map},
                                  sys::Depth::single));
    return sys::open_at(tree, name, O_RDONLY | O_DIRECTORY);
}

/// The kernel (before 5.12), the file system, or an ordinary user's rights.
bool lacks_mapped_mounts(const Error& error) {
    return error.number() == ENOSYS || error.number() == EINVAL || error.number() == EPERM;
}

Result<bool> is_same_file(FdView one, FdView other) {
    struct ::stat a{};
    struct ::stat b{};
    if (::fstat(one.raw(), &a) < 0 || ::fstat(other.raw(), &b) < 0) return fail_errno("fstat");
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

Result<Fd> open_as_mapped_root(const std::string& directory, const oci::Linux& section) {
    auto plain = TRY(sys::open(directory, O_RDONLY | O_DIRECTORY));
    const auto uids = only_root(section.uid_mappings);
    const auto gids = only_root(section.gid_mappings);
    if (uids.empty() || gids.empty()) return plain;
    const Fd id_map = TRY(make_user_namespace(uids, gids));
    const auto at = split_path(directory);
    auto mapped = open_in_mapped_mount(at.directory, at.name, id_map);
    // Below it is another mount.
    if (mapped && !TRY(is_same_file(*mapped, plain)))
        mapped = open_in_mapped_mount(directory, ".", id_map);
    if (!mapped && lacks_mapped_mounts(mapped.error())) return plain;
    return mapped;
}

bool is_bind(const oci::Mount& mount) {
    const auto has = [&](std::string_view name) {
        return std::ranges::find(mount.options, name) != mount.options.end();
    };
    return mount.type == "bind" || has("bind") || has("rbind");
}

std::string bind_source(const oci::Mount& mount, const std::string& bundle) {
    return mount.source.starts_with('/') ? mount.source : bundle + "/" + mount.source;
}

Result<void> make_mount_points(const oci::Spec& spec, const BundleRoot& root) {
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        const auto& mount = spec.mounts[i];
        const auto path = clean_path(mount.destination);
        const auto* above = mount_above(std::span(spec.mounts).first(i), path);
        // What a file system brings along or criu fills again: a place in sysfs, in a tmpfs.
        if (above != nullptr && !is_bind(*above)) continue;
        const auto top = above == nullptr ? root.path : bind_source(*above, root.bundle);
        const auto inside =
            above == nullptr ? path : path.substr(clean_path(above->destination).size());
        const Fd directory = TRY(sys::open(top, O_PATH | O_DIRECTORY).context(path));
        const auto kind = TRY(target_of(mount, root.bundle).context(path));
        TRY(open_or_make(directory, inside, kind).context(path));
    }
    return {};
}

Result<std::string> resolved_destination(const std::string& root, const std::string& destination) {
    const Fd directory = TRY(sys::open(root, O_PATH | O_DIRECTORY));
    const Fd target = TRY(open_if_there(directory, destination));
    if (!target) {
        const auto at = split_path(clean_path(destination));
        const auto above = TRY(resolved_destination(root, at.directory));
        return (above == "/" ? "" : above) + "/" + at.name;
    }
    char text[PATH_MAX];
    const auto link = fmt::format("/proc/self/fd/{}", target.raw());
    const ssize_t n = ::readlink(link.c_str(), text, sizeof text);
    if (n < 0) return fail_errno("{}", destination);
    const std::string found(text, static_cast<std::size_t>(n));
    char top[PATH_MAX];
    if (::realpath(root.c_str(), top) == nullptr) return fail_errno("{}", root);
    if (!found.starts_with(std::string(top) + "/")) return clean_path(destination);
    return found.substr(std::string_view(top).size());
}

}  // namespace corten::runtime
