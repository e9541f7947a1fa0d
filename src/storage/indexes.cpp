#include <storage/indexes.hpp>

namespace corten::storage {

namespace {

constexpr std::string_view unnamed =
    "digest NOT IN (SELECT image_index FROM reference WHERE image_index IS NOT NULL)";

ImageIndex index_of_row(const Row& row) {
    return {.digest = row.text(0), .media_type = row.text(1), .content = row.text(2), .images = {}};
}

std::string first_column(const Row& row) {
    return row.text(0);
}

}  // namespace

Result<void> IndexStore::put(const ImageIndex& index) {
    Transaction change = TRY(db_.begin());
    TRY(db_.execute(
        "INSERT OR IGNORE INTO image_index(digest, media_type, content) VALUES(?, ?, ?)",
        {index.digest, index.media_type, index.content}));
    for (const IndexedImage& image : index.images)
        TRY(db_.execute(
            "INSERT OR REPLACE INTO index_image(index_digest, manifest_digest, manifest, "
            "image) VALUES(?, ?, ?, ?)",
            {index.digest, image.manifest_digest, image.manifest, image.image_id}));
    return change.commit();
}

Result<std::vector<IndexedImage>> IndexStore::images(const std::string& digest) {
    return db_.all<IndexedImage>(
        "SELECT manifest_digest, manifest, image FROM index_image WHERE index_digest = ? "
        "ORDER BY manifest_digest",
        {digest},
        [](const Row& row) { return IndexedImage{row.text(0), row.text(1), row.text(2)}; });
}

Result<std::optional<ImageIndex>> IndexStore::find(const std::string& digest) {
    auto index = TRY(db_.first<ImageIndex>(
        "SELECT digest, media_type, content FROM image_index WHERE digest = ?", {digest},
        index_of_row));
    if (index) index->images = TRY(images(digest));
    return index;
}

Result<std::optional<ImageIndex>> IndexStore::of(const std::string& reference) {
    const auto digest = TRY(db_.first<std::string>(
        "SELECT image_index FROM reference WHERE name = ?", {reference}, first_column));
    if (!digest || digest->empty()) return std::optional<ImageIndex>();
    return find(*digest);
}

Result<std::vector<ImageIndex>> IndexStore::list() {
    auto all = TRY(db_.all<ImageIndex>(
        "SELECT digest, media_type, content FROM image_index ORDER BY digest", {}, index_of_row));
    for (ImageIndex& index : all) index.images = TRY(images(index.digest));
    return all;
}

Result<std::vector<std::string>> IndexStore::references(const std::string& digest) {
    return db_.all<std::string>("SELECT name FROM reference WHERE image_index = ? ORDER BY name",
                                {digest}, first_column);
}

Result<void> IndexStore::take_out(const std::string& digest, const std::string& image,
                                  const std::string& instead) {
    Transaction change = TRY(db_.begin());
    TRY(db_.execute("UPDATE reference SET image = ? WHERE image_index = ? AND image = ?",
                    {instead, digest, image}));
    TRY(db_.execute("DELETE FROM index_image WHERE index_digest = ? AND image = ?",
                    {digest, image}));
    return change.commit();
}

Result<std::vector<std::string>> IndexStore::release() {
    Transaction change = TRY(db_.begin());
    auto images = TRY(db_.all<std::string>(
        fmt::format("SELECT DISTINCT image FROM index_image JOIN image_index ON digest = "
                    "index_digest WHERE {} ORDER BY image",
                    unnamed),
        {}, first_column));
    TRY(db_.execute(fmt::format("DELETE FROM image_index WHERE {}", unnamed)));
    TRY(change.commit());
    return images;
}

Result<void> IndexStore::drop(const std::string& digest) {
    TRY(db_.execute("UPDATE reference SET image_index = NULL WHERE image_index = ?", {digest}));
    TRY(release());
    return {};
}

}  // namespace corten::storage
