#include "garbage.hpp"

#include <base/text.hpp>
#include <storage/digest.hpp>
#include <storage/images.hpp>
#include <storage/indexes.hpp>

#include <algorithm>
#include <map>

namespace corten::storage {

namespace {

constexpr auto crash_grace = std::chrono::hours(24);

bool is_digest_reference(std::string_view reference) {
    return reference.find('@') != std::string_view::npos;
}

#define IMAGE_COLUMNS                                                                             \
    "id, config, manifest, manifest_digest, media_type, parent, chain_id, created, last_tagged, " \
    "last_used"

Image image_of_row(const Row& row) {
    Image image;
    image.id = row.text(0);
    image.config = row.text(1);
    image.manifest = row.text(2);
    image.manifest_digest = row.text(3);
    image.manifest_media_type = row.text(4);
    image.parent = row.text(5);
    image.chain_id = row.text(6);
    image.created = WallTime(std::chrono::nanoseconds(row.integer(7)));
    image.last_tagged = WallTime(std::chrono::nanoseconds(row.integer(8)));
    image.last_used = WallTime(std::chrono::nanoseconds(row.integer(9)));
    return image;
}

void add_name(Image& image, std::string name, std::string index) {
    if (!index.empty() && std::ranges::find(image.indexes, index) == image.indexes.end())
        image.indexes.push_back(std::move(index));
    auto& list = is_digest_reference(name) ? image.digests : image.tags;
    list.push_back(std::move(name));
}

/// Of all their layers.
void add_sizes(std::vector<Image>& images, const std::vector<Layer>& layers) {
    std::map<std::string_view, const Layer*> by_id;
    for (const Layer& layer : layers) by_id.emplace(layer.chain_id, &layer);
    for (Image& image : images)
        for (auto at = by_id.find(image.chain_id); at != by_id.end();
             at = by_id.find(at->second->parent))
            image.size += at->second->size;
}

Result<void> add_details(Database& db, Image& image) {
    TRY(db.each("SELECT name, image_index FROM reference WHERE image = ? ORDER BY name", {image.id},
                [&](const Row& row) -> Result<void> {
                    add_name(image, row.text(0), row.text(1));
                    return {};
                }));
    image.in_index = TRY(db.integer("SELECT EXISTS(SELECT 1 FROM index_image WHERE image = ?)",
                                    {image.id})) != 0;
    image.size = static_cast<std::uint64_t>(TRY(db.integer(
        "WITH RECURSIVE below(id) AS (VALUES(?) UNION ALL SELECT layer.parent FROM below "
        "JOIN layer ON layer.chain_id = below.id WHERE layer.parent IS NOT NULL) "
        "SELECT sum(size) FROM below JOIN layer ON layer.chain_id = below.id",
        {image.chain_id})));
    return {};
}

}  // namespace

Result<std::string> ImageStore::put(const NewImage& image) {
    std::string id = sha256_digest(image.config);
    Transaction change = TRY(db_.begin());
    if (!image.chain_id.empty()) TRY(layers_.get(image.chain_id));
    // A second pull of the same config may come with another manifest; a build has none to give.
    TRY(db_.execute(
        "INSERT INTO image(" IMAGE_COLUMNS
        ") VALUES(?, ?, ?, ?, ?, ?, nullif(?, ''), ?, 0, 0) "
        "ON CONFLICT(id) DO UPDATE SET "
        "manifest = iif(excluded.manifest = '', manifest, excluded.manifest), "
        "manifest_digest = iif(excluded.manifest = '', manifest_digest, excluded.manifest_digest), "
        "media_type = iif(excluded.manifest = '', media_type, excluded.media_type), "
        "parent = iif(excluded.parent = '', parent, excluded.parent)",
        {id, image.config, image.manifest, image.manifest_digest, image.manifest_media_type,
         image.parent, image.chain_id, unix_nanoseconds(now())}));
    TRY(change.commit());
    return id;
}

Result<void> ImageStore::note_use(const std::string& id) {
    TRY(db_.execute("UPDATE image SET last_used = ? WHERE id = ?", {unix_nanoseconds(now()), id}));
    return {};
}

Result<Image> ImageStore::get(const std::string& id) {
    auto image = TRY(
        db_.first<Image>("SELECT " IMAGE_COLUMNS " FROM image WHERE id = ?", {id}, image_of_row));
    if (!image) return fail(ErrorKind::not_found, "No such image: {}", id);
    TRY(add_details(db_, *image));
    return std::move(*image);
}

Result<FoundImage> ImageStore::resolve(const ImageName& name) {
    if (!name.reference.empty()) {
        const auto found = TRY(db_.first<FoundImage>(
            "SELECT image, image_index FROM reference WHERE name = ?", {name.reference},
            [](const Row& row) { return FoundImage{row.text(0), true, row.text(1)}; }));
        if (found) return *found;
    }
    std::string_view prefix = name.id_prefix;
    if (prefix.starts_with("sha256:")) prefix.remove_prefix(7);
    if (prefix.empty() || prefix.size() > 64 || !is_lower_hex(prefix))
        return fail(ErrorKind::not_found, "No such image: {}", name.display);
    const auto found = TRY(db_.all<std::string>("SELECT id FROM image WHERE id GLOB ? LIMIT 2",
                                                {fmt::format("sha256:{}*", prefix)},
                                                [](const Row& row) { return row.text(0); }));
    if (found.empty()) return fail(ErrorKind::not_found, "No such image: {}", name.display);
    if (found.size() > 1)
        return fail(ErrorKind::invalid, "multiple IDs found with provided prefix: {}", prefix);
    return FoundImage{found[0], false, {}};
}

Result<std::vector<Image>> ImageStore::list() {
    Transaction unchanged = TRY(db_.begin());
    auto images = TRY(db_.all<Image>(
        "SELECT " IMAGE_COLUMNS " FROM image ORDER BY created DESC, id", {}, image_of_row));
    std::map<std::string, Image*, std::less<>> by_id;
    for (Image& image : images) by_id.emplace(image.id, &image);
    TRY(db_.each("SELECT image, name, image_index FROM reference ORDER BY name", {},
                 [&](const Row& row) -> Result<void> {
                     add_name(*by_id.at(row.text(0)), row.text(1), row.text(2));
                     return {};
                 }));
    TRY(db_.each("SELECT DISTINCT image FROM index_image", {}, [&](const Row& row) -> Result<void> {
        by_id.at(row.text(0))->in_index = true;
        return {};
    }));
    const auto layers = TRY(layers_.list());
    TRY(unchanged.commit());
    add_sizes(images, layers);
    return images;
}

Result<std::size_t> ImageStore::count() {
    return static_cast<std::size_t>(TRY(db_.integer("SELECT count(*) FROM image")));
}

Result<std::vector<std::string>> ImageStore::children(const std::string& id) {
    return db_.all<std::string>("SELECT id FROM image WHERE parent = ? ORDER BY id", {id},
                                [](const Row& row) { return row.text(0); });
}

Result<std::string> ImageStore::tag(const std::string& reference, const std::string& id,
                                    const std::string& index) {
    Transaction change = TRY(db_.begin());
    std::string before = TRY(image_of(reference)).value_or("");
    TRY(get(id));
    TRY(db_.execute(
        "INSERT INTO reference(name, image, image_index) VALUES(?1, ?2, nullif(?3, '')) "
        "ON CONFLICT(name) DO UPDATE SET image = ?2, image_index = nullif(?3, '')",
        {reference, id, index}));
    // The images of an index that has lost its last name here stay, without a name as docker's do.
    TRY(IndexStore(db_).release());
    if (!is_digest_reference(reference))
        TRY(db_.execute("UPDATE image SET last_tagged = ? WHERE id = ?",
                        {unix_nanoseconds(now()), id}));
    TRY(change.commit());
    return before;
}

Result<std::optional<std::string>> ImageStore::image_of(const std::string& reference) {
    return db_.first<std::string>("SELECT image FROM reference WHERE name = ?", {reference},
                                  [](const Row& row) { return row.text(0); });
}

Result<std::vector<ImageUsage>> ImageStore::usage() {
    std::map<std::string, Layer, std::less<>> layers;
    for (Layer& layer : TRY(layers_.list())) layers.emplace(layer.chain_id, layer);
    using Top = std::pair<std::string, std::string>;  // image id, chain id
    const auto images = TRY(db_.all<Top>("SELECT id, chain_id FROM image", {}, [](const Row& row) {
        return Top{row.text(0), row.text(1)};
    }));
    const auto for_each_layer = [&](const std::string& top, auto&& visit) {
        for (auto at = layers.find(top); at != layers.end(); at = layers.find(at->second.parent))
            visit(at->second);
    };
    std::map<std::string, int> users;
    for (const auto& [id, top] : images)
        for_each_layer(top, [&](const Layer& layer) { ++users[layer.chain_id]; });
    std::vector<ImageUsage> result;
    for (const auto& [id, top] : images) {
        ImageUsage& usage = result.emplace_back(ImageUsage{id, 0, 0});
        for_each_layer(top, [&](const Layer& layer) {
            usage.size += layer.size;
            if (users[layer.chain_id] > 1) usage.shared += layer.size;
        });
    }
    return result;
}

Result<std::uint64_t> ImageStore::layers_size() {
    return static_cast<std::uint64_t>(
        TRY(db_.integer("SELECT ifnull((SELECT sum(size) FROM layer), 0) + "
                        "ifnull((SELECT sum(size) FROM layer_blob "
                        "WHERE diff_id IN (SELECT diff_id FROM layer)), 0)")));
}

Result<Lease> ImageStore::lease(const std::string& what) {
    const auto id = TRY(db_.first<std::int64_t>(
        "INSERT INTO lease(what, created) VALUES(?, ?) RETURNING id",
        {what, unix_nanoseconds(now())}, [](const Row& row) { return row.integer(0); }));
    if (!id) return fail(ErrorKind::internal, "no id for a new lease");
    return Lease(db_, *id);
}

Result<Layer> ImageStore::commit_layer(PendingLayer pending, const std::string& parent,
                                       const std::string& expected_diff_id, Lease& lease) {
    Transaction change = TRY(db_.begin());
    Layer layer = TRY(layers_.commit(std::move(pending), parent, expected_diff_id));
    TRY(lease.add_layer(layer.chain_id));
    TRY(change.commit());
    return layer;
}

Result<ImageStore::Garbage> ImageStore::collect_garbage() {
    Transaction change = TRY(db_.begin());
    const auto released = TRY(release_all(db_, layers_));
    TRY(change.commit());
    Garbage garbage;
    for (const Layer& layer : released) {
        TRY(driver_.remove(layer.cache_id));
        garbage.layers.push_back(layer.chain_id);
        garbage.bytes += layer.size;
    }
    return garbage;
}

Result<std::vector<std::string>> ImageStore::unused_layers() {
    const Transaction never_committed = TRY(db_.begin());
    std::vector<std::string> ids;
    for (const Layer& layer : TRY(release_all(db_, layers_))) ids.push_back(layer.chain_id);
    return ids;
}

Lease::Lease(Lease&& other) noexcept : db_(std::exchange(other.db_, nullptr)), id_(other.id_) {}

Lease::~Lease() {
    // A lease that could not be dropped here gets an end at the next start.
    if (db_) db_->execute("DELETE FROM lease WHERE id = ? AND expires IS NULL", {id_}).ignore();
}

Result<void> Lease::add_layer(const std::string& chain_id) {
    TRY(db_->execute("INSERT OR IGNORE INTO lease_layer(lease, chain_id) VALUES(?, ?)",
                     {id_, chain_id}));
    return {};
}

Result<void> Lease::keep_for(std::chrono::seconds duration) {
    const std::int64_t end = unix_nanoseconds(now() + duration);
    TRY(db_->execute("UPDATE lease SET expires = ? WHERE id = ?", {end, id_}));
    return {};
}

Result<void> ImageStore::end_kept_leases() {
    TRY(db_.execute("DELETE FROM lease WHERE expires IS NOT NULL"));
    return {};
}

Result<void> ImageStore::end_leases_of_last_run() {
    TRY(db_.execute("UPDATE lease SET expires = ? WHERE expires IS NULL",
                    {unix_nanoseconds(now() + crash_grace)}));
    return {};
}

}  // namespace corten::storage
