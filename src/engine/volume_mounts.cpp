#include "volume_mounts.hpp"

#include "volume_options.hpp"
#include "volume_store.hpp"

#include <base/ids.hpp>
#include <base/log.hpp>
#include <base/rollback.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>

#include <fcntl.h>

#include <vector>

namespace corten::engine {

namespace {

/// Whether something is mounted on `path`; statx(2), Linux 5.8.
Result<bool> is_mounted(const std::string& path) {
    struct ::statx status{};
    if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status) < 0) {
        if (errno == ENOENT) return false;
        return fail_errno("look at {}", path);
    }
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<void> mount_device(const VolumeDevice& device, const std::string& path) {
    TRY(sys::mount_at(device.device, path, device.type, device.flags, device.data));
    // A bind mount takes the other flags only afterwards.
    constexpr unsigned long what = MS_BIND | MS_REC;
    if ((device.flags & MS_BIND) != 0 && (device.flags & ~what) != 0)
        TRY(sys::mount_at("", path, "", device.flags | MS_REMOUNT));
    if (device.propagation != 0) TRY(sys::set_propagation(path, device.propagation));
    return {};
}

void tell_mounted(const std::string& volume, const Result<void>& unmounted) {
    if (!unmounted) log::warning("volume {}: {}", volume, unmounted.error().message());
}

}  // namespace

Result<void> unmount_volume(const std::string& mountpoint) {
    // A crash may have left more than one.
    while (TRY(is_mounted(mountpoint)))
        TRY(sys::unmount_at(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW));
    return {};
}

Result<void> VolumeMounts::acquire(const std::string& volume, const std::string& user) {
    const auto record = TRY(volumes_.find(volume));
    if (!record) return fail(ErrorKind::not_found, "get {}: no such volume", volume);
    return acquire(*record, user);
}

Result<void> VolumeMounts::acquire(const VolumeRecord& volume, const std::string& user) {
    const VolumeOptions options = TRY(parse_volume_options(volume.options));
    if (!options.device) return {};
    const std::string path = volumes_.mountpoint(volume.name);
    const auto mutex = mutex_of(volume.name);
    std::lock_guard lock(*mutex);
    if (!TRY(is_mounted(path))) {
        if (auto mounted = mount_device(*options.device, path); !mounted) {
            unmount_volume(path).ignore();  // half of it; the first error counts
            return std::move(mounted).error().context(
                fmt::format("failed to mount local volume {}: mount {}:{}", volume.name,
                            options.device->device, path));
        }
    }
    uses_.with([&](Uses& uses) { uses.users[volume.name].insert(user); });
    return {};
}

Result<Fd> VolumeMounts::open(const std::string& volume) {
    const std::string user = "reader " + random_id();
    TRY(acquire(volume, user));
    Rollback leave;
    leave.add([&] { release(user); });
    return sys::open(volumes_.mountpoint(volume), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

std::shared_ptr<std::mutex> VolumeMounts::mutex_of(const std::string& volume) {
    return uses_.with([&](Uses& uses) {
        auto& mutex = uses.mutexes[volume];
        if (!mutex) mutex = std::make_shared<std::mutex>();
        return mutex;
    });
}

Result<void> VolumeMounts::unmount_unless_used(const std::string& volume) {
    const auto mutex = mutex_of(volume);
    std::lock_guard lock(*mutex);
    const bool used = uses_.with([&](Uses& uses) { return uses.users.contains(volume); });
    return used ? Result<void>() : unmount_volume(volumes_.mountpoint(volume));
}

void VolumeMounts::release(const std::string& user) {
    std::vector<std::string> left;
    uses_.with([&](Uses& uses) {
        for (auto& [volume, users] : uses.users)
            if (users.erase(user) != 0 && users.empty()) left.push_back(volume);
        for (const auto& volume : left) uses.users.erase(volume);
    });
    for (const auto& volume : left) tell_mounted(volume, unmount_unless_used(volume));
}

Result<void> VolumeMounts::unmount_unused() {
    for (const auto& record : TRY(volumes_.list()))
        if (!record.options.empty()) tell_mounted(record.name, unmount_unless_used(record.name));
    return {};
}

}  // namespace corten::engine
