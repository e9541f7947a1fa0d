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

/// The driver whose directory there is; the default one for a new data root.
std::string driver_in_use(const std::string& root) {
    const std::string erofs(erofs_driver_name);
    return sys::exists(fmt::format("{}/{}", root, erofs)) ? erofs
                                                          : std::string(overlay_driver_name);
}

/// What another driver has left goes when the database names nothing of it.
Result<void> leave_other_driver(Database& db, const std::string& root, std::string_view driver) {
    const std::string_view other =
        driver == overlay_driver_name ? erofs_driver_name : overlay_driver_name;
    const std::string path = fmt::format("{}/{}", root, other);
    if (!sys::exists(path)) return {};
    if (TRY(db.integer("SELECT (SELECT count(*) FROM layer) + (SELECT count(*) FROM snapshot)",
                       {})) > 0)
        return fail(ErrorKind::conflict,
                    "{} has images and containers of the storage driver {}, which {} cannot use: "
                    "start with --storage-driver={}, or use another data root",
                    root, other, driver, other);
    return sys::remove_tree(path);
}

Result<std::unique_ptr<Driver>> open_driver_of(Database& db, const std::string& root,
                                               const StoreOptions& options) {
    const std::string name = options.driver.empty() ? driver_in_use(root) : options.driver;
    const std::string path = fmt::format("{}/{}", root, name);
    TRY(check_driver_name(name));
    TRY(leave_other_driver(db, root, name));
    return open_driver(name, path);
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
      images_(*db_, *driver_, layers_) {}

Result<std::unique_ptr<Store>> Store::open(const std::string& data_root,
                                           const StoreOptions& options) {
    TRY(sys::make_directories(data_root, 0700));
    if (::chmod(data_root.c_str(), 0700) < 0) return fail_errno("change mode of {}", data_root);
    Fd lock = TRY(lock_root(data_root));
    auto db = TRY(Database::open(fmt::format("{}/corten.db", data_root)));
    TRY(db->migrate("storage", storage_schema));
    BlobStore blobs = TRY(BlobStore::open(data_root));
    auto driver = TRY(open_driver_of(*db, data_root, options));
    std::unique_ptr<Store> store(
        new Store(data_root, std::move(lock), std::move(db), std::move(blobs), std::move(driver)));
    TRY(store->recover().context(fmt::format("recovery of {}", data_root)));
    store->keep_reserve();
    return store;
}

Result<std::size_t> Store::sweep() {
    auto removed = driver_->sweep();
    keep_reserve();
    return removed;
}

Result<void> Store::collect_garbage() {
    TRY(images_.collect_garbage());
    TRY(sweep());
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

Result<void> Store::recover() {
    TRY(images_.end_leases_of_last_run());
    const auto known = TRY(
        db_->all<std::string>("SELECT cache_id FROM layer UNION ALL SELECT cache_id FROM snapshot",
                              {}, [](const Row& row) { return row.text(0); }));
    const std::set<std::string> named(known.begin(), known.end());
    for (const std::string& id : TRY(driver_->list()))
        if (!named.contains(id)) TRY(driver_->remove(id));
    return {};
}

}  // namespace corten::storage
