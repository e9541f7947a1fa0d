#include "garbage.hpp"

#include <base/clock.hpp>

namespace corten::storage {

namespace {

Result<bool> is_named(Database& db, const std::string& chain_id) {
    return TRY(db.integer(
               "SELECT EXISTS(SELECT 1 FROM layer WHERE parent = ?1) "
               "OR EXISTS(SELECT 1 FROM image WHERE chain_id = ?1) "
               "OR EXISTS(SELECT 1 FROM snapshot WHERE parent = ?1) "
               "OR EXISTS(SELECT 1 FROM lease_layer JOIN lease ON lease.id = lease_layer.lease "
               "WHERE lease_layer.chain_id = ?1 AND (expires IS NULL OR expires > ?2))",
               {chain_id, unix_nanoseconds(now())})) != 0;
}

}  // namespace

Result<std::vector<Layer>> release_chain(Database& db, LayerStore& layers, std::string chain_id) {
    std::vector<Layer> released;
    while (!chain_id.empty() && !TRY(is_named(db, chain_id))) {
        auto layer = TRY(layers.find(chain_id));
        if (!layer) break;
        TRY(db.execute("DELETE FROM layer WHERE chain_id = ?", {chain_id}));
        chain_id = layer->parent;
        released.push_back(std::move(*layer));
    }
    return released;
}

Result<std::vector<Layer>> release_all(Database& db, LayerStore& layers) {
    TRY(db.execute("DELETE FROM lease WHERE expires <= ?", {unix_nanoseconds(now())}));
    const auto tops = TRY(
        db.all<std::string>("SELECT chain_id FROM layer WHERE NOT EXISTS"
                            "(SELECT 1 FROM layer AS above WHERE above.parent = layer.chain_id)",
                            {}, [](const Row& row) { return row.text(0); }));
    std::vector<Layer> released;
    for (const std::string& top : tops)
        for (Layer& layer : TRY(release_chain(db, layers, top)))
            released.push_back(std::move(layer));
    return released;
}

}  // namespace corten::storage
