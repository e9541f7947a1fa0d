#include <base/ids.hpp>
#include <storage/digest.hpp>
#include <storage/layers.hpp>

namespace corten::storage {

PendingLayer::PendingLayer(LayerStore& store, std::string cache_id)
    : store_(&store), cache_id_(std::move(cache_id)) {
    store.pending_.with([&](auto& ids) { ids.insert(cache_id_); });
}

PendingLayer::PendingLayer(PendingLayer&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      cache_id_(std::move(other.cache_id_)),
      diff_id_(std::move(other.diff_id_)),
      size_(other.size_),
      tar_size_(other.tar_size_) {}

PendingLayer::~PendingLayer() {
    if (!store_) return;
    // Without a row in the database it is an orphan, which the next start removes at the latest.
    store_->driver_.remove(cache_id_).ignore();
    store_->pending_.with([&](auto& ids) { ids.erase(cache_id_); });
}

Result<PendingLayer> LayerStore::unpack(Source& tar, const UnpackOptions& options) {
    // 12 bytes of randomness keep 128 layers' names within a page of mount options.
    PendingLayer pending(*this, random_hex(6));
    const auto builder = TRY(driver_.begin_layer(pending.cache_id_));
    const auto ahead = read_ahead(tar);
    HashingSource hashing(*ahead);
    pending.size_ = TRY(builder->unpack(hashing, options.limits, options.record)).bytes;
    pending.diff_id_ = hashing.digest();
    pending.tar_size_ = hashing.bytes();
    return pending;
}

Result<Layer> LayerStore::commit(PendingLayer pending, const std::string& parent,
                                 const std::string& expected_diff_id) {
    if (!expected_diff_id.empty() && expected_diff_id != pending.diff_id_)
        return fail(ErrorKind::corrupt, "layer {}: its content has the diff id {}",
                    expected_diff_id, pending.diff_id_);
    Transaction change = TRY(db_.begin());
    const std::string id = chain_id(parent, pending.diff_id_);
    if (auto present = TRY(find(id))) return std::move(*present);
    if (!parent.empty()) TRY(get(parent));
    Layer layer{id,   pending.diff_id_, parent, pending.cache_id_, pending.size_, pending.tar_size_,
                now()};
    TRY(
        db_.execute("INSERT INTO layer(chain_id, diff_id, parent, cache_id, size, tar_size, "
                    "created) VALUES(?, ?, nullif(?, ''), ?, ?, ?, ?)",
                    {layer.chain_id, layer.diff_id, layer.parent, layer.cache_id, layer.size,
                     layer.tar_size, unix_nanoseconds(layer.created)}));
    TRY(change.commit());
    pending_.with([&](auto& ids) { ids.erase(pending.cache_id_); });
    pending.store_ = nullptr;
    return layer;
}

namespace {

#define LAYER_COLUMNS "chain_id, diff_id, parent, cache_id, size, tar_size, created"

Layer layer_of(const Row& row) {
    return {row.text(0),
            row.text(1),
            row.text(2),
            row.text(3),
            static_cast<std::uint64_t>(row.integer(4)),
            row.is_null(5) ? std::nullopt : std::optional<std::uint64_t>(row.integer(5)),
            WallTime(std::chrono::nanoseconds(row.integer(6)))};
}

}  // namespace

std::set<std::string> LayerStore::being_unpacked() const {
    return pending_.with([](const auto& ids) { return ids; });
}

Result<std::optional<Layer>> LayerStore::find(const std::string& chain_id) {
    return db_.first<Layer>("SELECT " LAYER_COLUMNS " FROM layer WHERE chain_id = ?", {chain_id},
                            layer_of);
}

Result<Layer> LayerStore::get(const std::string& chain_id) {
    auto layer = TRY(find(chain_id));
    if (!layer) return fail(ErrorKind::not_found, "no layer {} in the store", chain_id);
    return std::move(*layer);
}

Result<std::vector<Layer>> LayerStore::chain(const std::string& chain_id) {
    auto layers = TRY(db_.all<Layer>(
        "WITH RECURSIVE below(id, depth) AS (VALUES(?, 0) UNION ALL "
        "SELECT layer.parent, depth + 1 FROM below JOIN layer ON layer.chain_id = below.id "
        "WHERE layer.parent IS NOT NULL) "
        "SELECT " LAYER_COLUMNS
        " FROM below JOIN layer ON layer.chain_id = below.id ORDER BY depth",
        {chain_id}, layer_of));
    if (layers.empty() && !chain_id.empty())
        return fail(ErrorKind::not_found, "no layer {} in the store", chain_id);
    return layers;
}

Result<std::vector<Layer>> LayerStore::list() {
    return db_.all<Layer>("SELECT " LAYER_COLUMNS " FROM layer ORDER BY created, chain_id", {},
                          layer_of);
}

Result<void> LayerStore::write_tar(const std::string& chain_id, Sink& out) {
    const Layer layer = TRY(get(chain_id));
    Sha256 hash;
    FunctionSink hashing([&](std::string_view bytes) {
        hash.update(bytes);
        return out.write(bytes);
    });
    TRY(driver_.write_tar(layer.cache_id, hashing).context("layer " + chain_id));
    if (hash.digest() != layer.diff_id)
        return fail(ErrorKind::corrupt,
                    "layer {}: its files have changed on disk: wanted the diff id {}, found {}",
                    chain_id, layer.diff_id, hash.digest());
    return {};
}

Result<std::uint64_t> LayerStore::tar_size(const std::string& chain_id) {
    const Layer layer = TRY(get(chain_id));
    if (layer.tar_size) return *layer.tar_size;
    std::uint64_t size = 0;
    FunctionSink counting([&](std::string_view bytes) -> Result<void> {
        size += bytes.size();
        return {};
    });
    TRY(write_tar(chain_id, counting));
    TRY(set_tar_size(layer.diff_id, size));
    return size;
}

Result<void> LayerStore::set_tar_size(const std::string& diff_id, std::uint64_t size) {
    TRY(db_.execute("UPDATE layer SET tar_size = ? WHERE diff_id = ?", {size, diff_id}));
    return {};
}

}  // namespace corten::storage
