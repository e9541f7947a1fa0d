#include <storage/database.hpp>
#include <sys/stat.h>

#include <sqlite3.h>

#include <array>
#include <map>

namespace corten::storage {

namespace {

constexpr int file_format = 1;  // PRAGMA user_version
constexpr int busy_timeout_ms = 10'000;

ErrorKind kind_of(int code) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            return ErrorKind::no_space;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return ErrorKind::corrupt;
        case SQLITE_CONSTRAINT:
            return ErrorKind::conflict;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return ErrorKind::unavailable;
        case SQLITE_MISUSE:
        case SQLITE_ERROR:
        case SQLITE_RANGE:
            return ErrorKind::internal;
        default:
            return ErrorKind::io;
    }
}

Error failure(sqlite3* handle, std::string_view doing) {
    return fail(kind_of(sqlite3_extended_errcode(handle)), "database: {}: {}", doing,
                sqlite3_errmsg(handle));
}

struct CloseHandle {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
};
struct FinalizeStatement {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Handle = std::unique_ptr<sqlite3, CloseHandle>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

int bind(sqlite3_stmt* statement, int index, const Value& value) {
    struct Binder {
        sqlite3_stmt* statement;
        int index;
        int operator()(std::monostate) const { return sqlite3_bind_null(statement, index); }
        int operator()(std::int64_t v) const { return sqlite3_bind_int64(statement, index, v); }
        int operator()(double v) const { return sqlite3_bind_double(statement, index, v); }
        // An empty view may have no address, which SQLite would take for NULL.
        int operator()(std::string_view v) const {
            return sqlite3_bind_text64(statement, index, v.empty() ? "" : v.data(), v.size(),
                                       SQLITE_STATIC, SQLITE_UTF8);
        }
        int operator()(Blob v) const {
            if (v.bytes.empty()) return sqlite3_bind_zeroblob(statement, index, 0);
            return sqlite3_bind_blob64(statement, index, v.bytes.data(), v.bytes.size(),
                                       SQLITE_STATIC);
        }
    };
    return std::visit(Binder{statement, index}, value.get());
}

}  // namespace

bool Row::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
std::int64_t Row::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}
double Row::real(int column) const {
    return sqlite3_column_double(statement_, column);
}
std::string_view Row::text_view(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}
std::string Row::text(int column) const {
    return std::string(text_view(column));
}
std::optional<std::string> Row::optional_text(int column) const {
    if (is_null(column)) return std::nullopt;
    return text(column);
}

struct Database::Connection {
    std::recursive_mutex mutex;
    Handle handle;
    std::map<std::string, Statement, std::less<>> statements;
    int depth = 0;  // of open transactions

    Result<sqlite3_stmt*> prepared(std::string_view sql);
    Result<void> bind_all(sqlite3_stmt* statement, std::string_view sql, Values values);
    Result<void> script(const std::string& sql);
};

Result<sqlite3_stmt*> Database::Connection::prepared(std::string_view sql) {
    const auto found = statements.find(sql);
    if (found != statements.end()) {
        if (sqlite3_stmt_busy(found->second.get()))
            return fail(ErrorKind::internal, "database: \"{}\" run inside itself", sql);
        return found->second.get();
    }
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v3(handle.get(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK)
        return failure(handle.get(), sql);
    statements.emplace(std::string(sql), Statement(raw));
    return raw;
}

Result<void> Database::Connection::bind_all(sqlite3_stmt* statement, std::string_view sql,
                                            Values values) {
    const int wanted = sqlite3_bind_parameter_count(statement);
    if (wanted != static_cast<int>(values.size()))
        return fail(ErrorKind::internal, "database: \"{}\" takes {} values, {} given", sql, wanted,
                    values.size());
    int index = 0;
    for (const Value& value : values)
        if (bind(statement, ++index, value) != SQLITE_OK) return failure(handle.get(), sql);
    return {};
}

Result<void> Database::Connection::script(const std::string& sql) {
    if (sqlite3_exec(handle.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        return failure(handle.get(), sql.substr(0, 60));
    return {};
}

Database::Database(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
    auto connection = std::make_unique<Connection>();
    sqlite3* raw = nullptr;
    // Our mutex serialises already, hence NOMUTEX.
    const int code =
        sqlite3_open_v2(path.c_str(), &raw,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    connection->handle.reset(raw);
    if (code != SQLITE_OK)
        return fail(kind_of(code), "database {}: {}", path, sqlite3_errstr(code));
    if (path != ":memory:" && ::chmod(path.c_str(), 0600) < 0) return fail_errno("chmod {}", path);
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, busy_timeout_ms);
    TRY(
        connection->script("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                           "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"));
    auto database = std::unique_ptr<Database>(new Database(std::move(connection)));
    const std::int64_t format = TRY(database->integer("PRAGMA user_version"));
    if (format > file_format)
        return fail(ErrorKind::unsupported,
                    "database {} has format {}, this version knows {}: it was written by a newer "
                    "version",
                    path, format, file_format);
    TRY(database->execute_script(
        fmt::format("PRAGMA user_version={}; CREATE TABLE IF NOT EXISTS schema_version("
                    "module TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
                    file_format)));
    return database;
}

Result<void> Database::migrate(std::string_view module, std::span<const std::string_view> steps) {
    Transaction change = TRY(begin());
    const std::int64_t version =
        TRY(integer("SELECT version FROM schema_version WHERE module = ?", {module}));
    const auto known = static_cast<std::int64_t>(steps.size());
    if (version > known)
        return fail(ErrorKind::unsupported,
                    "database: the tables of {} have version {}, this version knows {}", module,
                    version, known);
    for (std::int64_t step = version; step < known; ++step)
        TRY(execute_script(steps[static_cast<std::size_t>(step)])
                .context(fmt::format("tables of {}, step {}", module, step + 1)));
    if (version < known)
        TRY(
            execute("INSERT INTO schema_version(module, version) VALUES(?1, ?2) "
                    "ON CONFLICT(module) DO UPDATE SET version = ?2",
                    {module, known}));
    return change.commit();
}

Result<std::int64_t> Database::execute(std::string_view sql, Values values) {
    std::lock_guard lock(connection_->mutex);
    TRY(each(sql, values, [](const Row&) -> Result<void> { return {}; }));
    return sqlite3_changes64(connection_->handle.get());
}

Result<void> Database::execute_script(std::string_view sql) {
    std::lock_guard lock(connection_->mutex);
    return connection_->script(std::string(sql));
}

Result<void> Database::each(std::string_view sql, Values values,
                            const std::function<Result<void>(const Row&)>& visit) {
    std::lock_guard lock(connection_->mutex);
    sqlite3_stmt* const statement = TRY(connection_->prepared(sql));
    struct Reset {
        sqlite3_stmt* statement;
        ~Reset() {
            sqlite3_reset(statement);
            sqlite3_clear_bindings(statement);
        }
    } reset{statement};
    TRY(connection_->bind_all(statement, sql, values));
    for (;;) {
        const int code = sqlite3_step(statement);
        if (code == SQLITE_DONE) return {};
        if (code != SQLITE_ROW) return failure(connection_->handle.get(), sql);
        TRY(visit(Row(statement)));
    }
}

Result<std::int64_t> Database::integer(std::string_view sql, Values values) {
    const auto found =
        TRY(first<std::int64_t>(sql, values, [](const Row& row) { return row.integer(0); }));
    return found.value_or(0);
}

Result<Transaction> Database::begin() {
    std::unique_lock lock(connection_->mutex);
    const int depth = connection_->depth;
    TRY(execute(depth == 0 ? std::string("BEGIN IMMEDIATE")
                           : fmt::format("SAVEPOINT level{}", depth)));
    ++connection_->depth;
    return Transaction(*this, depth, std::move(lock));
}

Result<std::vector<std::string>> Database::check() {
    auto findings = TRY(
        all<std::string>("PRAGMA integrity_check", {}, [](const Row& row) { return row.text(0); }));
    std::erase(findings, "ok");
    TRY(each("PRAGMA foreign_key_check", {}, [&](const Row& row) -> Result<void> {
        findings.push_back(fmt::format("table {} row {} names a row of {} that is not there",
                                       row.text(0), row.integer(1), row.text(2)));
        return {};
    }));
    return findings;
}

Transaction::Transaction(Database& database, int depth, std::unique_lock<std::recursive_mutex> lock)
    : database_(&database), depth_(depth), lock_(std::move(lock)) {}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)),
      depth_(other.depth_),
      lock_(std::move(other.lock_)) {}

Transaction::~Transaction() {
    if (!database_) return;
    --database_->connection_->depth;
    // SQLite may have rolled back by itself (disk full); then there is nothing left to undo.
    database_
        ->execute_script(depth_ == 0
                             ? std::string("ROLLBACK")
                             : fmt::format("ROLLBACK TO level{0}; RELEASE level{0}", depth_))
        .ignore();
}

Result<void> Transaction::commit() {
    TRY(database_->execute(depth_ == 0 ? std::string("COMMIT")
                                       : fmt::format("RELEASE level{}", depth_)));
    --database_->connection_->depth;
    database_ = nullptr;
    lock_.unlock();
    return {};
}

}  // namespace corten::storage
