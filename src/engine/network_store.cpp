#include "network_store.hpp"

#include <array>

namespace corten::engine {

namespace {
constexpr std::array<std::string_view, 1> schema = {
    "CREATE TABLE network(id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID"};
}

Result<NetworkStore> NetworkStore::open(storage::Database& db) {
    TRY(db.migrate("networks", schema));
    return NetworkStore(db);
}

Result<void> NetworkStore::put(const network::Network& network) {
    TRY(db_->execute("INSERT OR REPLACE INTO network(id, record) VALUES(?, ?)",
                     {network.id, dump_json(to_json(network))}));
    return {};
}

Result<void> NetworkStore::remove(const std::string& id) {
    TRY(db_->execute("DELETE FROM network WHERE id = ?", {id}));
    return {};
}

Result<std::vector<network::Network>> NetworkStore::load() const {
    std::vector<network::Network> list;
    TRY(db_->each("SELECT record FROM network", {}, [&](const storage::Row& row) -> Result<void> {
        list.push_back(TRY(parse_as<network::Network>(row.text_view(0), "network record")));
        return {};
    }));
    return list;
}

}  // namespace corten::engine
