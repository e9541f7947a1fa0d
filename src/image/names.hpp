#pragma once
// From what a user typed to images in the store.
#include <image/reference.hpp>
#include <storage/store.hpp>

namespace corten::image {

struct NamedImage {
    std::string id;
    std::vector<Reference> references;  ///< those that were meant; empty when named by its id
};

/// not_found in docker's words. A name without a tag means every tag of the repository, as `save`
/// and `push --all-tags` have it; they may be several images.
Result<std::vector<NamedImage>> find_images(storage::Store& store, const std::string& name);

}  // namespace corten::image
