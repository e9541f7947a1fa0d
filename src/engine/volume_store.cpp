#include "volume_store.hpp"

#include <base/clock.hpp>
#include <base/json.hpp>
#include <sys/file.hpp>

#include <array>

namespace corten::engine {

namespace {
constexpr std::array<std::string_view, 1> schema = {
    "CREATE TABLE volume(name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID"};
}

Result<VolumeStore> VolumeStore::open(storage::Database& db, std::string directory) {
    TRY(db.migrate("volumes", schema));
    TRY(sys::make_directories(directory, 0701));
    return VolumeStore(db, std::move(directory));
}

Result<VolumeStore::Made> VolumeStore::create(VolumeRecord wanted) {
    auto transaction = TRY(db_->begin());
    if (auto there = TRY(find(wanted.name)))
        return Made{.volume = std::move(*there), .made = false};
    wanted.created = unix_nanoseconds(now());
    TRY(sys::make_directories(mountpoint(wanted.name)));
    TRY(db_->execute("INSERT INTO volume(name, record) VALUES(?, ?)",
                     {wanted.name, dump_json(to_json(wanted))}));
    TRY(transaction.commit());
    return Made{.volume = std::move(wanted), .made = true};
}

Result<std::optional<VolumeRecord>> VolumeStore::find(const std::string& name) const {
    const auto text =
        TRY(db_->first<std::string>("SELECT record FROM volume WHERE name = ?", {name},
                                    [](const storage::Row& row) { return row.text(0); }));
    if (!text) return std::optional<VolumeRecord>();
    return std::optional(TRY(parse_as<VolumeRecord>(*text, "volume record")));
}

Result<std::vector<VolumeRecord>> VolumeStore::list() const {
    std::vector<VolumeRecord> list;
    TRY(db_->each("SELECT record FROM volume ORDER BY name", {},
                  [&](const storage::Row& row) -> Result<void> {
                      list.push_back(
                          TRY(parse_as<VolumeRecord>(row.text_view(0), "volume record")));
                      return {};
                  }));
    return list;
}

Result<void> VolumeStore::mark_filled(const std::string& name) {
    auto transaction = TRY(db_->begin());
    auto record = TRY(find(name));
    if (!record) return fail(ErrorKind::not_found, "get {}: no such volume", name);
    record->filled = true;
    TRY(db_->execute("UPDATE volume SET record = ? WHERE name = ?",
                     {dump_json(to_json(*record)), name}));
    return transaction.commit();
}

Result<void> VolumeStore::remove(const std::string& name) {
    // The row goes first: a crash in between leaves a directory that remove_orphans() finds.
    TRY(db_->execute("DELETE FROM volume WHERE name = ?", {name}));
    return sys::remove_tree(directory_ + "/" + name);
}

Result<void> VolumeStore::remove_orphans() {
    for (const auto& name : TRY(sys::list_directory(directory_)))
        if (!TRY(find(name))) TRY(sys::remove_tree(directory_ + "/" + name));
    return {};
}

}  // namespace corten::engine
