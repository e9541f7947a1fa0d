#include "records.hpp"

#include <array>

namespace corten::image {

namespace {

constexpr std::array<std::string_view, 2> steps = {
    R"(
    CREATE TABLE image_layer_tar(diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE image_layer_origin(
        diff_id TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
        size INTEGER NOT NULL, media_type TEXT NOT NULL,
        PRIMARY KEY(diff_id, repository)) WITHOUT ROWID;
)",
    // The store knows the lengths itself now.
    R"(
    UPDATE layer SET tar_size =
        (SELECT size FROM image_layer_tar WHERE image_layer_tar.diff_id = layer.diff_id);
    DROP TABLE image_layer_tar;
    DELETE FROM image_layer_origin WHERE diff_id NOT IN (SELECT diff_id FROM layer);
    CREATE TRIGGER image_layer_gone AFTER DELETE ON layer
    WHEN NOT EXISTS(SELECT 1 FROM layer WHERE diff_id = OLD.diff_id)
    BEGIN
        DELETE FROM image_layer_origin WHERE diff_id = OLD.diff_id;
    END;
)"};

}  // namespace

Result<Records> Records::open(storage::Database& db) {
    TRY(db.migrate("image", steps));
    return Records(db);
}

Result<void> Records::add_origin(const std::string& diff_id, const LayerOrigin& origin) {
    TRY(db_->execute(
        "INSERT OR REPLACE INTO image_layer_origin"
        "(diff_id, repository, digest, size, media_type) "
        "SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS(SELECT 1 FROM layer WHERE diff_id = ?1)",
        {diff_id, origin.repository, origin.digest, origin.size, origin.media_type}));
    return {};
}

Result<std::vector<LayerOrigin>> Records::origins(const std::string& diff_id) {
    return db_->all<LayerOrigin>(
        "SELECT repository, digest, size, media_type FROM image_layer_origin WHERE diff_id = ?",
        {diff_id}, [](const storage::Row& row) {
            return LayerOrigin{row.text(0), row.text(1), row.integer(2), row.text(3)};
        });
}

}  // namespace corten::image
