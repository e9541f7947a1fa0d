#pragma once
// Indexes: what a name stands for when its image is there for several platforms (OCI image spec,
// "Image Index"). An index is kept byte for byte, with the manifests of those of its images that
// are here: one platform after the other may be pulled, and each stays under the same name. An
// index lives as long as a reference names it.
#include <base/result.hpp>
#include <storage/database.hpp>

#include <optional>
#include <string>
#include <vector>

namespace corten::storage {

struct IndexedImage {
    std::string manifest_digest;  ///< as the index names it
    std::string manifest;         ///< JSON, byte for byte
    std::string image_id;
};

struct ImageIndex {
    std::string digest;
    std::string media_type;
    std::string content;               ///< JSON, byte for byte
    std::vector<IndexedImage> images;  ///< those that are here
};

class IndexStore {
public:
    explicit IndexStore(Database& db) : db_(db) {}

    /// Stores the index, or adds its images to those that are here. The images are in the image
    /// store; a reference has to name the index in the same transaction (ImageStore::tag()).
    Result<void> put(const ImageIndex& index);
    Result<std::optional<ImageIndex>> find(const std::string& digest);
    /// The index that a reference names; nullopt also when it names a single image.
    Result<std::optional<ImageIndex>> of(const std::string& reference);
    Result<std::vector<ImageIndex>> list();
    /// Takes an image out. The names that mean it when no platform is said mean `instead` then.
    Result<void> take_out(const std::string& digest, const std::string& image,
                          const std::string& instead);
    /// Canonical names that stand for the index, sorted.
    Result<std::vector<std::string>> references(const std::string& digest);
    /// Deletes the indexes that no reference names any more; gives the ids of the images they had.
    Result<std::vector<std::string>> release();
    /// Takes it from the names that stand for it, which keep the image they mean by themselves.
    Result<void> drop(const std::string& digest);

private:
    Result<std::vector<IndexedImage>> images(const std::string& digest);
    Database& db_;
};

}  // namespace corten::storage
