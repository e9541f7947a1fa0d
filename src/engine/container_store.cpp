#include "container_store.hpp"

#include <array>

namespace corten::engine {

namespace {
constexpr std::array<std::string_view, 2> schema = {
    "CREATE TABLE container(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, "
    "state TEXT NOT NULL) WITHOUT ROWID",
    // The network of the mode was not among the endpoints, which are now all that a container has.
    "UPDATE container SET spec = json_set(spec, '$.networking.EndpointsConfig.\"' || "
    "json_extract(spec, '$.host.NetworkMode') || '\"', json('{}')) "
    "WHERE json_extract(spec, '$.host.NetworkMode') NOT LIKE 'container:%' AND json_extract(spec, "
    "'$.networking.EndpointsConfig.\"' || json_extract(spec, '$.host.NetworkMode') || '\"') IS "
    "NULL"};
}

Result<ContainerStore> ContainerStore::open(storage::Database& db) {
    TRY(db.migrate("containers", schema));
    return ContainerStore(db);
}

Result<void> ContainerStore::insert(const ContainerSpec& spec, const ContainerState& state) {
    TRY(db_->execute("INSERT INTO container(id, name, spec, state) VALUES(?, ?, ?, ?)",
                     {spec.id, spec.name, dump_json(to_json(spec)), dump_json(to_json(state))}));
    return {};
}

Result<void> ContainerStore::update_spec(const ContainerSpec& spec) {
    TRY(db_->execute("UPDATE container SET name = ?, spec = ? WHERE id = ?",
                     {spec.name, dump_json(to_json(spec)), spec.id}));
    return {};
}

Result<void> ContainerStore::update_state(const std::string& id, const ContainerState& state) {
    TRY(db_->execute("UPDATE container SET state = ? WHERE id = ?",
                     {dump_json(to_json(state)), id}));
    return {};
}

Result<void> ContainerStore::remove(const std::string& id) {
    TRY(db_->execute("DELETE FROM container WHERE id = ?", {id}));
    return {};
}

namespace {

Result<std::pair<ContainerSpec, ContainerState>> record_of(std::string_view spec,
                                                           std::string_view state) {
    return std::pair(TRY(parse_as<ContainerSpec>(spec, "container record")),
                     TRY(parse_as<ContainerState>(state, "container state")));
}

}  // namespace

Result<ContainerStore::Loaded> ContainerStore::load() {
    Loaded loaded;
    TRY(db_->each("SELECT id, name, spec, state FROM container", {},
                  [&](const storage::Row& row) -> Result<void> {
                      auto record = record_of(row.text_view(2), row.text_view(3));
                      if (record)
                          loaded.records.push_back(std::move(*record));
                      else
                          loaded.unreadable.push_back(
                              {row.text(0), row.text(1), std::move(record).error()});
                      return {};
                  }));
    return loaded;
}

}  // namespace corten::engine
