#pragma once
// Which layers nothing names any more. Called inside a transaction.
#include <base/result.hpp>
#include <storage/database.hpp>
#include <storage/layers.hpp>

#include <string>
#include <vector>

namespace corten::storage {

/// Deletes the rows of `chain_id` and of those below it, down to the first that an image, a
/// snapshot, another layer or a lease names; gives them, topmost first. Their directories are the
/// caller's to remove once the transaction is committed.
Result<std::vector<Layer>> release_chain(Database& db, LayerStore& layers, std::string chain_id);
/// The same for all layers.
Result<std::vector<Layer>> release_all(Database& db, LayerStore& layers);

}  // namespace corten::storage
