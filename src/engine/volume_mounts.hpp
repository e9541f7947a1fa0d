#pragma once
// Volumes that stand for a device or a host directory: mounted on DATA/volumes/NAME/_data when the
// first user comes, taken down when the last one leaves. A user is a running container, or whoever
// looks into a stopped one.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <base/sync.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace corten::engine {

class VolumeStore;
struct VolumeRecord;

/// Takes down all that is mounted on a volume's directory; nothing is fine.
Result<void> unmount_volume(const std::string& mountpoint);

class VolumeMounts {
public:
    explicit VolumeMounts(const VolumeStore& volumes) : volumes_(volumes) {}

    /// Mounts it if need be; nothing to do for an ordinary volume. `user` leaves with release().
    Result<void> acquire(const VolumeRecord& volume, const std::string& user);
    /// The same for one whose record is not at hand; not_found when there is none.
    Result<void> acquire(const std::string& volume, const std::string& user);
    /// Its directory, as it is while it is used; the descriptor keeps it so.
    Result<Fd> open(const std::string& volume);
    /// Whatever `user` had; what nobody needs any more is unmounted, a failure is logged.
    void release(const std::string& user);
    /// After a start of the daemon, once all running containers have acquired their volumes.
    Result<void> unmount_unused();

private:
    /// Held while a volume is mounted or taken down, which a dead server can make long: only for
    /// that volume.
    std::shared_ptr<std::mutex> mutex_of(const std::string& volume);
    Result<void> unmount_unless_used(const std::string& volume);
    struct Uses {
        std::map<std::string, std::set<std::string>> users;  ///< of each mounted volume
        std::map<std::string, std::shared_ptr<std::mutex>> mutexes;
    };
    const VolumeStore& volumes_;
    Sync<Uses> uses_;
};

}  // namespace corten::engine
