#pragma once
// The rows of containers in the data root's database. Everything that changes a container is here
// before anybody is told.
#include "container_record.hpp"

#include <storage/database.hpp>

#include <utility>
#include <vector>

namespace corten::engine {

class ContainerStore {
public:
    static Result<ContainerStore> open(storage::Database& db);

    Result<void> insert(const ContainerSpec& spec, const ContainerState& state);
    Result<void> update_spec(const ContainerSpec& spec);
    Result<void> update_state(const std::string& id, const ContainerState& state);
    Result<void> remove(const std::string& id);
    /// A record that cannot be read is told by its id and name, and does not hide the others.
    struct Unreadable {
        std::string id;
        std::string name;
        Error error;
    };
    struct Loaded {
        std::vector<std::pair<ContainerSpec, ContainerState>> records;
        std::vector<Unreadable> unreadable;
    };
    Result<Loaded> load();

private:
    explicit ContainerStore(storage::Database& db) : db_(&db) {}
    storage::Database* db_;
};

}  // namespace corten::engine
