#include <storage/database.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace corten::storage {
namespace {

constexpr std::string_view schema[] = {"CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"};

std::unique_ptr<Database> open_with_table() {
    auto db = Database::open(":memory:");
    EXPECT_TRUE(db);
    EXPECT_TRUE((*db)->migrate("test", schema));
    return std::move(db).value();
}

std::int64_t count(Database& db) {
    return db.integer("SELECT count(*) FROM t").value_or(-1);
}

TEST(Database, BindsAndReadsEveryType) {
    auto db = open_with_table();
    bool seen = false;
    auto result = db->each("SELECT ?, ?, ?, ?, ?, ?",
                           {nullptr, 1LL << 40, 1.5, "a\"b", Blob{std::string_view("\0x", 2)},
                            std::optional<std::string>()},
                           [&](const Row& row) -> Result<void> {
                               seen = true;
                               EXPECT_TRUE(row.is_null(0));
                               EXPECT_EQ(row.integer(1), 1LL << 40);
                               EXPECT_EQ(row.real(2), 1.5);
                               EXPECT_EQ(row.text(3), "a\"b");
                               EXPECT_EQ(row.text(4), std::string("\0x", 2));
                               EXPECT_EQ(row.optional_text(5), std::nullopt);
                               return {};
                           });
    EXPECT_TRUE(result);
    EXPECT_TRUE(seen);
}

TEST(Database, EmptyTextIsNotNull) {
    auto db = open_with_table();
    EXPECT_EQ(db->integer("SELECT ? IS NULL", {std::string_view()}).value_or(-1), 0);
}

TEST(Database, TransactionRollsBackUnlessCommitted) {
    auto db = open_with_table();
    {
        auto change = db->begin();
        ASSERT_TRUE(change);
        ASSERT_TRUE(db->execute("INSERT INTO t(name) VALUES(?)", {"lost"}));
    }
    EXPECT_EQ(count(*db), 0);
    auto change = db->begin();
    ASSERT_TRUE(db->execute("INSERT INTO t(name) VALUES(?)", {"kept"}));
    ASSERT_TRUE(change->commit());
    EXPECT_EQ(count(*db), 1);
}

TEST(Database, NestedTransactionIsUndoneAlone) {
    auto db = open_with_table();
    auto outer = db->begin();
    ASSERT_TRUE(db->execute("INSERT INTO t(name) VALUES('outer')"));
    {
        auto inner = db->begin();
        ASSERT_TRUE(inner);
        ASSERT_TRUE(db->execute("INSERT INTO t(name) VALUES('inner')"));
    }
    {
        auto inner = db->begin();
        ASSERT_TRUE(db->execute("INSERT INTO t(name) VALUES('inner 2')"));
        ASSERT_TRUE(inner->commit());
    }
    ASSERT_TRUE(outer->commit());
    EXPECT_EQ(count(*db), 2);
}

TEST(Database, ConstraintIsAConflict) {
    auto db = open_with_table();
    ASSERT_TRUE(db->execute("INSERT INTO t(id) VALUES(1)"));
    auto again = db->execute("INSERT INTO t(id) VALUES(1)");
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind(), ErrorKind::conflict);
}

TEST(Database, WrongNumberOfValuesIsAnError) {
    auto db = open_with_table();
    EXPECT_FALSE(db->execute("INSERT INTO t(id) VALUES(?)"));
    EXPECT_FALSE(db->execute("INSERT INTO t(id) VALUES(?)", {1, 2}));
}

TEST(Database, MigrationsRunOnceAndNewerFilesAreRefused) {
    auto db = open_with_table();
    constexpr std::string_view more[] = {schema[0], "ALTER TABLE t ADD COLUMN extra TEXT"};
    ASSERT_TRUE(db->migrate("test", more));
    ASSERT_TRUE(db->migrate("test", more));
    ASSERT_TRUE(db->execute("INSERT INTO t(extra) VALUES('x')"));
    auto old = db->migrate("test", schema);
    ASSERT_FALSE(old);
    EXPECT_EQ(old.error().kind(), ErrorKind::unsupported);
}

TEST(Database, FailedMigrationLeavesNothing) {
    auto db = open_with_table();
    constexpr std::string_view broken[] = {"CREATE TABLE u(x); CREATE TABLE u(x)"};
    EXPECT_FALSE(db->migrate("other", broken));
    constexpr std::string_view mended[] = {"CREATE TABLE u(x)"};
    EXPECT_TRUE(db->migrate("other", mended));
}

TEST(Database, ThreadsShareTheConnection) {
    auto db = open_with_table();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                auto change = db->begin();
                EXPECT_TRUE(db->execute("INSERT INTO t(name) VALUES('x')"));
                EXPECT_TRUE(change->commit());
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(count(*db), 400);
}

TEST(Database, CheckFindsNothingInAFreshFile) {
    auto db = open_with_table();
    auto findings = db->check();
    ASSERT_TRUE(findings);
    EXPECT_TRUE(findings->empty());
}

}  // namespace
}  // namespace corten::storage
