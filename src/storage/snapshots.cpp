#include <base/clock.hpp>
#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <storage/snapshots.hpp>

namespace corten::storage {

struct SnapshotStore::Record {
    std::string cache_id;
    std::string parent;
    bool init_layer = false;
};

Result<SnapshotStore::Record> SnapshotStore::get(const std::string& key) {
    auto record = TRY(db_.first<Record>(
        "SELECT cache_id, parent, init_layer FROM snapshot WHERE key = ?", {key},
        [](const Row& row) { return Record{row.text(0), row.text(1), row.boolean(2)}; }));
    if (!record) return fail(ErrorKind::not_found, "no snapshot {} in the store", key);
    return std::move(*record);
}

Result<void> SnapshotStore::prepare(const std::string& key, const std::string& parent,
                                    const SnapshotOptions& options) {
    if (TRY(exists(key))) return fail(ErrorKind::conflict, "snapshot {} exists already", key);
    const std::string id = random_hex(6);
    Rollback undo;
    undo.add([&] { driver_.remove(id).ignore(); });  // an orphan otherwise; the next start's work
    // Inside the transaction, so that who holds the database sees no directory without a row.
    Transaction change = TRY(db_.begin());
    TRY(driver_.create_snapshot(id, options.most_bytes));
    if (!parent.empty()) TRY(layers_.get(parent));
    TRY(
        db_.execute("INSERT INTO snapshot(key, cache_id, parent, init_layer, created) "
                    "VALUES(?, ?, nullif(?, ''), ?, ?)",
                    {key, id, parent, options.init_layer, unix_nanoseconds(now())}));
    TRY(change.commit());
    undo.commit();
    return {};
}

Result<MountPlan> SnapshotStore::plan(const std::string& key, Access access) {
    const Record record = TRY(get(key));
    MountPlan plan;
    plan.snapshot = record.cache_id;
    plan.access = access;
    plan.init_layer = record.init_layer;
    for (Layer& layer : TRY(layers_.chain(record.parent)))
        plan.layers.push_back(std::move(layer.cache_id));
    return plan;
}

Result<Fd> SnapshotStore::mount(const std::string& key, Access access) {
    return driver_.mount(TRY(plan(key, access))).context(fmt::format("snapshot {}", key));
}

Result<MountPlan> SnapshotStore::plan_of_chain(const std::string& chain_id) {
    MountPlan plan;
    plan.access = Access::read_only;
    for (Layer& layer : TRY(layers_.chain(chain_id)))
        plan.layers.push_back(std::move(layer.cache_id));
    return plan;
}

Result<Fd> SnapshotStore::mount_chain(const std::string& chain_id) {
    return driver_.mount(TRY(plan_of_chain(chain_id)))
        .context(fmt::format("layers of {}", chain_id));
}

Result<Places> SnapshotStore::places(const std::string& key) {
    return driver_.places(TRY(plan(key, Access::read_write)));
}

Result<Places> SnapshotStore::places_of_chain(const std::string& chain_id) {
    return driver_.places(TRY(plan_of_chain(chain_id)));
}

Result<bool> SnapshotStore::exists(const std::string& key) {
    return TRY(db_.integer("SELECT count(*) FROM snapshot WHERE key = ?", {key})) != 0;
}

Result<std::string> SnapshotStore::parent(const std::string& key) {
    return TRY(get(key)).parent;
}

Result<Usage> SnapshotStore::usage(const std::string& key) {
    return driver_.usage(TRY(get(key)).cache_id);
}

Result<std::vector<Change>> SnapshotStore::changes(const std::string& key) {
    return driver_.changes(TRY(plan(key, Access::read_only)));
}

Result<std::uint64_t> SnapshotStore::parent_size(const std::string& key) {
    std::uint64_t total = 0;
    for (const Layer& layer : TRY(layers_.chain(TRY(get(key)).parent))) total += layer.size;
    return total;
}

Result<void> SnapshotStore::diff(const std::string& key, Sink& out) {
    return driver_.diff(TRY(plan(key, Access::read_only)), out);
}

Result<void> SnapshotStore::remove(const std::string& key) {
    auto record = get(key);
    if (!record && record.error().kind() == ErrorKind::not_found) return {};
    const Record found = TRY(std::move(record));
    // The row first: a directory without a row is removed at the next start, a row without a
    // directory would be a broken snapshot.
    TRY(db_.execute("DELETE FROM snapshot WHERE key = ?", {key}));
    return driver_.remove(found.cache_id);
}

Result<std::vector<std::string>> SnapshotStore::list() {
    return db_.all<std::string>("SELECT key FROM snapshot ORDER BY key", {},
                                [](const Row& row) { return row.text(0); });
}

Result<std::map<std::string, std::string>> SnapshotStore::directories() {
    using Pair = std::pair<std::string, std::string>;
    const auto rows =
        TRY(db_.all<Pair>("SELECT cache_id, key FROM snapshot", {},
                          [](const Row& row) { return Pair(row.text(0), row.text(1)); }));
    return std::map<std::string, std::string>(rows.begin(), rows.end());
}

}  // namespace corten::storage
