#include "schema.hpp"

#include <storage/store.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>

#include <set>

namespace corten::storage {

namespace {

Result<Fd> lock_root(const std::string& root) {
    const std::string path = fmt::format("{}/lock", root);
    Fd lock = TRY(sys::open(path, O_RDWR | O_CREAT, 0600));
    if (TRY(sys::try_lock(lock).context(path))) return lock;
    return fail(ErrorKind::conflict,
                "{} is in use by another process: stop it, or use another "
                "data root",
                root);
}

Result<bool> has_layers(Database& db) {
    return TRY(db.integer("SELECT EXISTS(SELECT 1 FROM layer) OR EXISTS(SELECT 1 FROM snapshot)",
                          {})) != 0;
}

/// The name of the driver and its directory. What another one has left goes when the database names
/// nothing of it.
Result<std::string> choose_driver(Database& db, const std::string& root, std::string wanted) {
    const auto has = [&](std::string_view name) {
        return sys::exists(fmt::format("{}/{}", root, name));
    };
    const bool used = TRY(has_layers(db));
    if (wanted.empty())
        wanted = used && has(erofs_driver_name) ? erofs_driver_name : overlay_driver_name;
    TRY(check_driver_name(wanted));
    const std::string_view other =
        wanted == overlay_driver_name ? erofs_driver_name : overlay_driver_name;
    if (!has(other)) return wanted;
    if (used)
        return fail(ErrorKind::conflict,
                    "{} has images and containers of the storage driver {}, which {} cannot use: "
                    "start with --storage-driver={}, or use another data root",
                    root, other, wanted, other);
    TRY(sys::remove_tree(fmt::format("{}/{}", root, other)));
    return wanted;
}

}  // namespace

Store::Store(std::string root, Fd lock, std::unique_ptr<Database> db, BlobStore blobs,
             std::unique_ptr<Driver> driver)
    : root_(std::move(root)),
      lock_(std::move(lock)),
      db_(std::move(db)),
      blobs_(std::move(blobs)),
      driver_(std::move(driver)),
      layers_(*db_, *driver_),
      snapshots_(*db_, *driver_, layers_),
      images_(*db_, *driver_, layers_),
      indexes_(*db_),
      packed_layers_(*db_, blobs_) {}

Result<std::unique_ptr<Store>> Store::open(const std::string& data_root,
                                           const StoreOptions& options) {
    TRY(sys::make_directories(data_root, 0700));
    if (::chmod(data_root.c_str(), 0700) < 0) return fail_errno("change mode of {}", data_root);
    Fd lock = TRY(lock_root(data_root));
    auto db = TRY(Database::open(fmt::format("{}/corten.db", data_root)));
    TRY(db->migrate("storage", storage_schema));
    BlobStore blobs = TRY(BlobStore::open(data_root));
    const std::string name = TRY(choose_driver(*db, data_root, options.driver));
    auto driver = TRY(open_driver(name, fmt::format("{}/{}", data_root, name)));
    std::unique_ptr<Store> store(
        new Store(data_root, std::move(lock), std::move(db), std::move(blobs), std::move(driver)));
    TRY(store->recover(options).context(fmt::format("recovery of {}", data_root)));
    store->keep_reserve();
    return store;
}

Result<std::size_t> Store::sweep(const std::stop_token& stop) {
    TRY(packed_layers_.sweep());
    auto removed = driver_->sweep(stop);
    keep_reserve();
    return removed;
}

Result<void> Store::collect_garbage(const std::stop_token& stop) {
    TRY(images_.collect_garbage());
    TRY(sweep(stop));
    return {};
}

/// As much as the disk gives: without it only removals from a full disk suffer.
void Store::keep_reserve() {
    constexpr off_t reserve_size = 1 << 20;
    struct ::stat status{};
    if (::stat(reserve_path().c_str(), &status) == 0 && status.st_size == reserve_size) return;
    const auto file = sys::open(reserve_path(), O_WRONLY | O_CREAT, 0600);
    if (file && ::fallocate(file->raw(), 0, 0, reserve_size) < 0) release_reserve();
}

bool Store::release_reserve() {
    return ::unlink(reserve_path().c_str()) == 0;
}

Result<void> Store::recover(const StoreOptions& options) {
    TRY(images_.end_leases_of_last_run());
    const auto known = TRY(
        db_->all<std::string>("SELECT cache_id FROM layer UNION ALL SELECT cache_id FROM snapshot",
                              {}, [](const Row& row) { return row.text(0); }));
    const std::set<std::string> named(known.begin(), known.end());
    for (const std::string& id : TRY(driver_->list()))
        if (!named.contains(id)) TRY(driver_->remove(id));
    if (!options.keep_blobs) TRY(packed_layers_.forget());
    return packed_layers_.sweep_all();
}

}  // namespace corten::storage
