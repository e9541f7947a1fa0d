#include "volume_store.hpp"

#include "volume_mounts.hpp"
#include "volume_options.hpp"

#include <base/clock.hpp>
#include <base/ids.hpp>
#include <base/json.hpp>
#include <base/log.hpp>
#include <base/rollback.hpp>
#include <storage/quota.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

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
    const std::uint64_t size = TRY(parse_volume_options(wanted.options)).size;
    Rollback undo;
    undo.add([&] { remove_files(wanted.name).ignore(); });  // an orphan at worst
    TRY(make_files(wanted.name, size));
    TRY(db_->execute("INSERT INTO volume(name, record) VALUES(?, ?)",
                     {wanted.name, dump_json(to_json(wanted))}));
    TRY(transaction.commit());
    undo.commit();
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
    TRY(db_->each("SELECT name, record FROM volume ORDER BY name", {},
                  [&](const storage::Row& row) -> Result<void> {
                      auto record = parse_as<VolumeRecord>(row.text_view(1), "volume record");
                      if (record)
                          list.push_back(std::move(*record));
                      else
                          log::error("volume {}: {}", row.text(0), record.error().message());
                      return {};
                  }));
    return list;
}

Result<void> VolumeStore::mark_filled(VolumeRecord record) {
    record.filled = true;
    TRY(db_->execute("UPDATE volume SET record = ? WHERE name = ?",
                     {dump_json(to_json(record)), record.name}));
    return {};
}

Result<void> VolumeStore::mark_filled(const std::string& name) {
    auto transaction = TRY(db_->begin());
    auto record = TRY(find(name));
    if (!record) return fail(ErrorKind::not_found, "get {}: no such volume", name);
    TRY(mark_filled(std::move(*record)));
    return transaction.commit();
}

Result<std::string> VolumeStore::prepare(std::uint64_t most_bytes) {
    // No volume's name begins with a dot.
    const std::string name = ".new-" + random_hex(12);
    TRY(make_files(name, most_bytes));
    return directory_ + "/" + name;
}

void VolumeStore::discard(const std::string& prepared) {
    remove_files(prepared.substr(directory_.size() + 1)).ignore();  // an orphan at worst
}

Result<void> VolumeStore::fill(const std::string& name, const std::string& prepared) {
    // Who uses a volume has marked it before: nobody has the directory that is replaced.
    auto transaction = TRY(db_->begin());
    auto record = TRY(find(name));
    if (!record) return fail(ErrorKind::not_found, "get {}: no such volume", name);
    if (record->filled) return {};
    const Fd empty = TRY(sys::open(mountpoint(name), O_RDONLY | O_DIRECTORY));
    const auto placed = sys::rename(prepared + "/_data", mountpoint(name));
    if (!placed && placed.error().kind() != ErrorKind::conflict) return placed.error();
    if (placed) TRY(storage::lift_limit(empty));
    TRY(mark_filled(std::move(*record)));
    return transaction.commit();
}

Result<VolumeRecord> VolumeStore::adopt(const std::string& prepared, VolumeRecord wanted) {
    auto transaction = TRY(db_->begin());
    if (TRY(find(wanted.name)))
        return fail(ErrorKind::conflict, "there is a volume {} already", wanted.name);
    wanted.created = unix_nanoseconds(now());
    const std::string place = directory_ + "/" + wanted.name;
    TRY(sys::rename(prepared, place));
    Rollback undo;
    undo.add([&] { sys::rename(place, prepared).ignore(); });
    TRY(db_->execute("INSERT INTO volume(name, record) VALUES(?, ?)",
                     {wanted.name, dump_json(to_json(wanted))}));
    TRY(transaction.commit());
    undo.commit();
    return wanted;
}

Result<void> VolumeStore::remove(const std::string& name) {
    // The row goes first: a crash in between leaves a directory that remove_orphans() finds.
    TRY(db_->execute("DELETE FROM volume WHERE name = ?", {name}));
    return remove_files(name);
}

Result<void> VolumeStore::remove_orphans() {
    for (const auto& name : TRY(sys::list_directory(directory_))) {
        const auto row = find(name);
        if (!row || *row) continue;  // an unreadable one is one too
        if (const auto removed = remove_files(name); !removed)
            log::error("remove what is left of volume {}: {}", name, removed.error().message());
    }
    return {};
}

Result<void> VolumeStore::make_files(const std::string& name, std::uint64_t most_bytes) {
    TRY(sys::make_directories(mountpoint(name)));
    if (most_bytes == 0) return {};
    const Fd directory = TRY(sys::open(mountpoint(name), O_RDONLY | O_DIRECTORY));
    return storage::limit_space(directory, most_bytes).context("volume " + name);
}

Result<void> VolumeStore::remove_files(const std::string& name) {
    // What is mounted there is not ours to delete.
    TRY(unmount_volume(mountpoint(name)));
    if (const auto directory = sys::open(mountpoint(name), O_RDONLY | O_DIRECTORY))
        TRY(storage::lift_limit(*directory));
    return sys::remove_tree(directory_ + "/" + name);
}

}  // namespace corten::engine
