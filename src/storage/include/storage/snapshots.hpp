#pragma once
// Writable snapshots over image chains, by key (a container's id): what a container's root
// filesystem is made of.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/database.hpp>
#include <storage/driver.hpp>
#include <storage/layers.hpp>

#include <map>
#include <string>
#include <vector>

namespace corten::storage {

struct SnapshotOptions {
    bool init_layer = true;        ///< see MountPlan::init_layer
    std::uint64_t most_bytes = 0;  ///< see Driver::create_snapshot
};

class SnapshotStore {
public:
    SnapshotStore(Database& db, Driver& driver, LayerStore& layers)
        : db_(db), driver_(driver), layers_(layers) {}

    /// Makes an empty writable part over `parent` (a chain id, or "" for an empty root). The parent
    /// is then protected from garbage collection. `conflict` when the key exists.
    Result<void> prepare(const std::string& key, const std::string& parent,
                         const SnapshotOptions& options = {});
    /// A detached overlay mount of the snapshot; see Driver::mount. Mount a snapshot read-write
    /// once at a time: two such mounts of one upper directory are undefined behaviour in the
    /// kernel.
    Result<Fd> mount(const std::string& key, Access access = Access::read_write);
    /// A read-only view of an image.
    Result<Fd> mount_chain(const std::string& chain_id);

    Result<Places> places(const std::string& key);
    /// Of an image: all of it is below.
    Result<Places> places_of_chain(const std::string& chain_id);

    Result<bool> exists(const std::string& key);
    /// The chain id it stands on.
    Result<std::string> parent(const std::string& key);
    Result<Usage> usage(const std::string& key);
    Result<std::vector<Change>> changes(const std::string& key);
    /// Bytes of all layers below, as SizeRootFs counts (without the writable part).
    Result<std::uint64_t> parent_size(const std::string& key);
    /// The writable part as a layer tar.
    Result<void> diff(const std::string& key, Sink& out);
    /// Fast: a rename and a row. A key that does not exist is fine.
    Result<void> remove(const std::string& key);
    Result<std::vector<std::string>> list();
    /// The driver's name of each snapshot's directory, and the key.
    Result<std::map<std::string, std::string>> directories();

private:
    struct Record;
    Result<Record> get(const std::string& key);
    Result<MountPlan> plan(const std::string& key, Access access);
    Result<MountPlan> plan_of_chain(const std::string& chain_id);
    Database& db_;
    Driver& driver_;
    LayerStore& layers_;
};

}  // namespace corten::storage
