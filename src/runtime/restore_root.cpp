#include "root.hpp"

#include <runtime/restore_root.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace corten::runtime {
namespace {

bool below_a_tmpfs(const oci::Spec& spec, const std::string& path) {
    return std::ranges::any_of(spec.mounts, [&](const oci::Mount& mount) {
        return mount.type == "tmpfs" && path.starts_with(clean_path(mount.destination) + "/");
    });
}

Result<Target> target_of(const oci::Mount& mount, const std::string& bundle) {
    if (!is_bind(mount)) return Target::directory;
    const auto source = TRY(sys::stat(bind_source(mount, bundle)));
    return S_ISDIR(source.st_mode) ? Target::directory : Target::file;
}

}  // namespace

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
    const Fd directory = TRY(sys::open(root.path, O_PATH | O_DIRECTORY));
    for (const auto& mount : spec.mounts) {
        const auto path = clean_path(mount.destination);
        // A control group's place is in sysfs, which brings it.
        if (below_a_tmpfs(spec, path) || mount.type.starts_with("cgroup")) continue;
        const auto kind = TRY(target_of(mount, root.bundle).context(path));
        TRY(open_or_make(directory, path, kind).context(path));
    }
    return {};
}

Result<std::string> resolved_destination(const std::string& root, const std::string& destination) {
    const Fd directory = TRY(sys::open(root, O_PATH | O_DIRECTORY));
    const Fd target = TRY(open_if_there(directory, destination));
    if (!target) return clean_path(destination);
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
