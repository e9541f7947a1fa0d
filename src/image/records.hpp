#pragma once
// What is remembered of layers besides what the store keeps: which blobs they were in which
// repository, as a push need not send those again. It goes with the last layer of a diff id.
#include <base/result.hpp>
#include <storage/database.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::image {

struct LayerOrigin {
    std::string repository;  ///< canonical name, "docker.io/library/debian"
    std::string digest;      ///< of the compressed blob
    std::int64_t size = 0;
    std::string media_type;
};

class Records {
public:
    /// Makes the tables when they are missing.
    static Result<Records> open(storage::Database& db);

    /// Of a layer that is in the store.
    Result<void> add_origin(const std::string& diff_id, const LayerOrigin& origin);
    Result<std::vector<LayerOrigin>> origins(const std::string& diff_id);

private:
    explicit Records(storage::Database& db) : db_(&db) {}
    storage::Database* db_;
};

}  // namespace corten::image
