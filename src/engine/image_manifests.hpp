#pragma once
// What the API tells of the platforms that an image's name stands for.
#include "context.hpp"

#include <apitypes/image.hpp>

namespace corten::engine {

class ManifestLister {
public:
    explicit ManifestLister(const Context& context);

    /// Every entry of the indexes that the image's names stand for, here or not; else its own
    /// manifest; nothing for an image that was made here.
    Result<apitypes::ManifestSummaries> manifests(const storage::Image& image) const;
    /// Of the index that a name of the image stands for, or of its manifest.
    Result<std::optional<oci::Descriptor>> descriptor(const storage::Image& image) const;
    /// All images that the names of this one stand for.
    Result<std::vector<storage::Image>> platforms(const storage::Image& image) const;
    /// How many containers are made from any of them.
    std::int64_t users(const std::vector<storage::Image>& images) const;
    /// Bytes of all their layers, each layer once.
    Result<std::uint64_t> size_of_layers(const std::vector<storage::Image>& images) const;

private:
    Result<apitypes::ManifestSummary> entry_summary(const oci::Descriptor& entry,
                                                    const storage::ImageIndex& index) const;
    Result<void> fill_image(apitypes::ManifestSummary& summary, const storage::Image& image,
                            const oci::Platform& platform) const;
    Result<std::uint64_t> kept_bytes(const storage::Image& image) const;

    const Context& context_;
    std::map<std::string, apitypes::Strings> containers_;  // ids, by image
};

}  // namespace corten::engine
