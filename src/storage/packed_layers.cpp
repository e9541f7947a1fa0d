#include <base/rollback.hpp>
#include <storage/packed_layers.hpp>

#include <set>

namespace corten::storage {

namespace {

PackedLayer layer_of_row(const Row& row) {
    return {.digest = row.text(0),
            .diff_id = row.text(1),
            .media_type = row.text(2),
            .size = static_cast<std::uint64_t>(row.integer(3))};
}

}  // namespace

Result<void> PackedLayers::keep(const PackedLayer& layer, PartialBlob download) {
    // Under the database's lock, so that no sweep sees the file without its row.
    Transaction change = TRY(db_.begin());
    Rollback undo;
    TRY(
        db_.execute("INSERT OR REPLACE INTO layer_blob(digest, diff_id, media_type, size) "
                    "VALUES(?, ?, ?, ?)",
                    {layer.digest, layer.diff_id, layer.media_type, layer.size}));
    TRY(blobs_.publish(std::move(download), layer.digest));
    undo.add([&] { blobs_.remove(layer.digest).ignore(); });  // else the next sweep does it
    TRY(change.commit());
    undo.commit();
    return {};
}

Result<std::vector<PackedLayer>> PackedLayers::of(const std::string& diff_id) {
    return db_.all<PackedLayer>(
        "SELECT digest, diff_id, media_type, size FROM layer_blob WHERE diff_id = ?", {diff_id},
        layer_of_row);
}

Result<std::vector<PackedLayer>> PackedLayers::list() {
    return db_.all<PackedLayer>("SELECT digest, diff_id, media_type, size FROM layer_blob", {},
                                layer_of_row);
}

Result<void> PackedLayers::sweep() {
    const auto gone = TRY(db_.all<std::string>(
        "DELETE FROM layer_blob WHERE diff_id NOT IN (SELECT diff_id FROM layer) "
        "RETURNING digest",
        {}, [](const Row& row) { return row.text(0); }));
    for (const std::string& digest : gone) TRY(remove_unnamed(digest));
    return {};
}

Result<void> PackedLayers::sweep_all() {
    Transaction change = TRY(db_.begin());
    TRY(db_.execute("DELETE FROM layer_blob WHERE diff_id NOT IN (SELECT diff_id FROM layer)"));
    std::set<std::string> named;
    for (PackedLayer& layer : TRY(list())) named.insert(std::move(layer.digest));
    std::vector<std::string> unnamed;
    for (const BlobInfo& blob : TRY(blobs_.list()))
        if (!named.contains(blob.digest)) unnamed.push_back(blob.digest);
    TRY(change.commit());
    for (const std::string& digest : unnamed) TRY(remove_unnamed(digest));
    return {};
}

/// A pull may have brought it again since.
Result<void> PackedLayers::remove_unnamed(const std::string& digest) {
    Transaction change = TRY(db_.begin());
    const bool named =
        TRY(db_.integer("SELECT EXISTS(SELECT 1 FROM layer_blob WHERE digest = ?)", {digest})) != 0;
    if (!named) TRY(blobs_.remove(digest));
    return change.commit();
}

Result<void> PackedLayers::forget() {
    TRY(db_.execute("DELETE FROM layer_blob"));
    return {};
}

Result<void> PackedLayers::forget(const std::string& digest) {
    TRY(db_.execute("DELETE FROM layer_blob WHERE digest = ?", {digest}));
    return {};
}

}  // namespace corten::storage
