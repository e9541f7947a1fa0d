#pragma once
// The rows of networks: the three predefined ones keep their ids over restarts.
#include <network/types.hpp>
#include <storage/database.hpp>

#include <vector>

namespace corten::engine {

class NetworkStore {
public:
    static Result<NetworkStore> open(storage::Database& db);
    Result<void> put(const network::Network& network);
    Result<void> remove(const std::string& id);
    Result<std::vector<network::Network>> load() const;

private:
    explicit NetworkStore(storage::Database& db) : db_(&db) {}
    storage::Database* db_;
};

}  // namespace corten::engine
