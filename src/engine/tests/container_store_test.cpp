#include "container_store.hpp"

#include "state_change.hpp"

#include <gtest/gtest.h>

namespace corten::engine {
namespace {

/// As it was before every network of a container was named among its endpoints.
constexpr std::string_view first_schema[] = {
    "CREATE TABLE container(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, "
    "state TEXT NOT NULL) WITHOUT ROWID"};

ContainerSpec spec_of(const std::string& id, const std::string& mode,
                      std::initializer_list<std::string> endpoints = {}) {
    ContainerSpec spec;
    spec.id = spec.name = id;
    spec.host.network_mode = mode;
    for (const auto& name : endpoints)
        spec.networking.endpoints[name] = apitypes::EndpointSettings{.mac_address = "kept"};
    return spec;
}

TEST(ContainerStore, OlderRecordsGetTheNetworkOfTheirMode) {
    auto db = storage::Database::open(":memory:").value();
    ASSERT_TRUE(db->migrate("containers", first_schema));
    for (const auto& spec :
         {spec_of("plain", "bridge"), spec_of("none", "none"),
          spec_of("both", "my.net", {"my.net", "other"}), spec_of("shares", "container:plain")})
        ASSERT_TRUE(db->execute(
            "INSERT INTO container(id, name, spec, state) VALUES(?, ?, ?, ?)",
            {spec.id, spec.name, dump_json(to_json(spec)), dump_json(to_json(ContainerState{}))}));
    const auto names = [&](std::string_view id) {
        auto store = ContainerStore::open(*db);
        std::vector<std::string> found;
        for (const auto& [spec, state] : store->load().value().records)
            for (const auto& [name, settings] : spec.networking.endpoints)
                if (spec.id == id)
                    found.push_back(settings && !settings->mac_address.empty() ? name + "+" : name);
        return found;
    };
    EXPECT_EQ(names("plain"), std::vector<std::string>{"bridge"});
    EXPECT_EQ(names("none"), std::vector<std::string>{"none"});
    EXPECT_EQ(names("both"), (std::vector<std::string>{"my.net+", "other+"}));
    EXPECT_TRUE(names("shares").empty());
}

TEST(ContainerStore, AnUnreadableRecordDoesNotHideTheOthers) {
    auto db = storage::Database::open(":memory:").value();
    auto store = ContainerStore::open(*db).value();
    for (const auto* id : {"good", "bad"})
        ASSERT_TRUE(store.insert(spec_of(id, "bridge"), ContainerState{}));
    ASSERT_TRUE(db->execute("UPDATE container SET state = '{' WHERE id = 'bad'", {}));
    const auto loaded = store.load().value();
    ASSERT_EQ(loaded.records.size(), 1U);
    EXPECT_EQ(loaded.records[0].first.id, "good");
    ASSERT_EQ(loaded.unreadable.size(), 1U);
    EXPECT_EQ(loaded.unreadable[0].id, "bad");
    EXPECT_EQ(loaded.unreadable[0].name, "bad");
}

TEST(StateChange, WhatCouldNotBeKeptDidNotHappen) {
    auto db = storage::Database::open(":memory:").value();
    auto store = ContainerStore::open(*db).value();
    const auto spec = spec_of("one", "bridge");
    ASSERT_TRUE(store.insert(spec, ContainerState{}));
    Container container(spec, ContainerState{});
    const auto run = [](ContainerState& state) { state.status = "running"; };
    ASSERT_TRUE(db->execute("PRAGMA query_only = 1", {}));
    EXPECT_FALSE(change_and_keep(store, container, run));
    EXPECT_EQ(container.state().status, "created");
    ASSERT_TRUE(db->execute("PRAGMA query_only = 0", {}));
    EXPECT_TRUE(change_and_keep(store, container, run));
    EXPECT_EQ(container.state().status, "running");
    EXPECT_EQ(store.load().value().records[0].second.status, "running");
}

}  // namespace
}  // namespace corten::engine
