#include "records.hpp"

#include <array>

namespace corten::image {

namespace {

constexpr std::array<std::string_view, 1> steps{R"(
    CREATE TABLE image_layer_tar(diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE image_layer_origin(
        diff_id TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
        size INTEGER NOT NULL, media_type TEXT NOT NULL,
        PRIMARY KEY(diff_id, repository)) WITHOUT ROWID;
)"};

}  // namespace

Result<Records> Records::open(storage::Database& db) {
    TRY(db.migrate("image", steps));
    return Records(db);
}

Result<void> Records::set_tar_size(const std::string& diff_id, std::uint64_t size) {
    TRY(db_->execute("INSERT OR REPLACE INTO image_layer_tar(diff_id, size) VALUES(?, ?)",
                     {diff_id, size}));
    return {};
}

Result<std::optional<std::uint64_t>> Records::tar_size(const std::string& diff_id) {
    return db_->first<std::uint64_t>(
        "SELECT size FROM image_layer_tar WHERE diff_id = ?", {diff_id},
        [](const storage::Row& row) { return static_cast<std::uint64_t>(row.integer(0)); });
}

Result<void> Records::add_origin(const std::string& diff_id, const LayerOrigin& origin) {
    TRY(
        db_->execute("INSERT OR REPLACE INTO image_layer_origin"
                     "(diff_id, repository, digest, size, media_type) VALUES(?, ?, ?, ?, ?)",
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
