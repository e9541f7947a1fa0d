#pragma once
// The blobs that layers came in, compressed as a registry had them. They are not needed to run
// anything; kept (StoreOptions::keep_blobs), they let a push send the very bytes that were pulled,
// so that manifests keep their digests wherever they go. A blob lives as long as its layer.
#include <base/result.hpp>
#include <storage/blobs.hpp>
#include <storage/database.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::storage {

struct PackedLayer {
    std::string digest;   ///< of the blob
    std::string diff_id;  ///< of the layer in it
    std::string media_type;
    std::uint64_t size = 0;
};

class PackedLayers {
public:
    PackedLayers(Database& db, BlobStore& blobs) : db_(db), blobs_(blobs) {}

    /// Takes a download that is whole and whose digest was compared. The layer is in the store.
    Result<void> keep(const PackedLayer& layer, PartialBlob download);
    /// What is kept of a layer, in no order.
    Result<std::vector<PackedLayer>> of(const std::string& diff_id);
    Result<std::vector<PackedLayer>> list();
    /// Removes the blobs of layers that are gone.
    Result<void> sweep();
    /// The same, and those that nothing names: what a crash can leave.
    Result<void> sweep_all();
    /// Gives up all of them; sweep_all() removes the files.
    Result<void> forget();
    Result<void> forget(const std::string& digest);

private:
    Result<void> remove_unnamed(const std::string& digest);
    Database& db_;
    BlobStore& blobs_;
};

}  // namespace corten::storage
