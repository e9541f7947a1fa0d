#pragma once
// SQLite behind Result: one connection per file, statements prepared once and kept.
//
//   TRY(db.execute("INSERT INTO volume(name, created) VALUES(?, ?)", {name, created}));
//   auto ids = TRY(db.all<std::string>("SELECT id FROM image WHERE size > ?", {limit},
//                                      [](const Row& row) { return row.text(0); }));
//   Transaction change = TRY(db.begin());  ...  TRY(change.commit());
//
// The connection is guarded by a recursive mutex: any thread may call, a statement runs whole, and
// a Transaction keeps other threads out until it ends. Do no slow work inside one.
//
// Durability: WAL with synchronous=NORMAL. A crash of the process (kill -9) loses nothing that was
// committed, because the pages are the kernel's; a power cut can lose the last transactions, but
// never the consistency, and what a lost transaction named is then an orphan that Store::open()
// removes. synchronous=FULL would cost an fsync (1 to 20 ms) at each container state change.
#include <base/result.hpp>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

struct sqlite3_stmt;

namespace corten::storage {

/// Bytes to be stored as BLOB (a std::string_view is stored as TEXT). Borrowed.
struct Blob {
    std::string_view bytes;
};

/// A parameter: NULL, INTEGER, REAL, TEXT or BLOB. Borrows text and bytes for the call.
class Value {
public:
    Value(std::nullptr_t) {}
    Value(bool v) : value_(static_cast<std::int64_t>(v)) {}
    template <typename T>
        requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
    Value(T v) : value_(static_cast<std::int64_t>(v)) {}
    Value(double v) : value_(v) {}
    Value(const char* v) : value_(std::string_view(v)) {}
    Value(std::string_view v) : value_(v) {}
    Value(const std::string& v) : value_(std::string_view(v)) {}
    Value(Blob v) : value_(v) {}
    template <typename T>
    Value(const std::optional<T>& v) {
        if (v) *this = Value(*v);
    }
    const auto& get() const { return value_; }

private:
    std::variant<std::monostate, std::int64_t, double, std::string_view, Blob> value_;
};
using Values = std::initializer_list<Value>;

/// One row of a query, columns from 0. Valid inside the function that was called with it.
class Row {
public:
    explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
    bool is_null(int column) const;
    std::int64_t integer(int column) const;  ///< NULL gives 0
    double real(int column) const;
    bool boolean(int column) const { return integer(column) != 0; }
    std::string text(int column) const;            ///< NULL gives ""; also for BLOB
    std::string_view text_view(int column) const;  ///< the same, valid until the next row
    std::optional<std::string> optional_text(int column) const;

private:
    sqlite3_stmt* statement_;
};

class Database;

/// Rolls back when destroyed before commit(). Begun inside another one of the same thread it is a
/// savepoint: its work is undone alone, or kept until the outer one ends. Must be ended by the
/// thread that began it, innermost first.
class Transaction {
public:
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();
    Result<void> commit();

private:
    friend class Database;
    Transaction(Database& database, int depth, std::unique_lock<std::recursive_mutex> lock);
    Database* database_;
    int depth_;
    std::unique_lock<std::recursive_mutex> lock_;
};

class Database {
public:
    /// Opens or creates the file (mode 0600). `path` ":memory:" is for tests. A file written by a
    /// newer format (PRAGMA user_version) is refused.
    static Result<std::unique_ptr<Database>> open(const std::string& path);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Brings the tables of `module` ("storage", "engine", …) up to date: `steps[i]` is the SQL
    /// (one or more statements) that leads from version i to i + 1. Each step runs once ever, in a
    /// transaction with the note that it ran (table schema_version). Steps are only ever appended.
    /// A module that is newer in the file than `steps` knows is refused.
    Result<void> migrate(std::string_view module, std::span<const std::string_view> steps);

    /// Runs one statement; gives the number of rows it changed.
    Result<std::int64_t> execute(std::string_view sql, Values values = {});
    /// Runs one or more statements without parameters and results.
    Result<void> execute_script(std::string_view sql);
    /// Calls `visit` for each row, with the connection held: `visit` may run other statements, but
    /// not the same text again. An error from `visit` ends the query.
    Result<void> each(std::string_view sql, Values values,
                      const std::function<Result<void>(const Row&)>& visit);

    template <typename T, typename Map>
    Result<std::vector<T>> all(std::string_view sql, Values values, Map&& map) {
        std::vector<T> rows;
        TRY(each(sql, values, [&](const Row& row) -> Result<void> {
            rows.push_back(map(row));
            return {};
        }));
        return rows;
    }
    /// The first row, or nullopt.
    template <typename T, typename Map>
    Result<std::optional<T>> first(std::string_view sql, Values values, Map&& map) {
        std::optional<T> found;
        TRY(each(sql, values, [&](const Row& row) -> Result<void> {
            if (!found) found.emplace(map(row));
            return {};
        }));
        return found;
    }
    /// The first column of the first row; 0 without a row.
    Result<std::int64_t> integer(std::string_view sql, Values values = {});

    /// BEGIN IMMEDIATE, or a savepoint when this thread is in a transaction already.
    Result<Transaction> begin();

    /// PRAGMA integrity_check and foreign_key_check; one line per finding.
    Result<std::vector<std::string>> check();

private:
    friend class Transaction;
    struct Connection;
    explicit Database(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

}  // namespace corten::storage
