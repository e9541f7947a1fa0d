#pragma once
// From what a user typed to images in the store.
#include <image/reference.hpp>
#include <storage/store.hpp>

namespace corten::image {

struct NamedImage {
    std::string id;
    std::string index;                  ///< of which it is one platform's, "" for none
    std::vector<Reference> references;  ///< those that were meant; empty when named by its id
};

/// What these references stand for, or the image alone.
inline storage::FoundImage found_of(const NamedImage& named) {
    return {.id = named.id, .by_reference = !named.references.empty(), .index = named.index};
}

/// Adds `named`, or its references to those of the same image that is there already.
void merge(std::vector<NamedImage>& all, NamedImage named);

/// not_found in docker's words. A name without a tag means every tag of the repository, as `save`
/// and `push --all-tags` have it; they may be several images.
Result<std::vector<NamedImage>> find_images(storage::Store& store, const std::string& name);

}  // namespace corten::image
