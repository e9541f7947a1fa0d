#include "image_manifests.hpp"

#include <image/platforms.hpp>

#include <algorithm>
#include <set>

namespace corten::engine {

namespace {

constexpr const char* attestation_subject = "vnd.docker.reference.digest";

oci::Descriptor manifest_descriptor(const storage::Image& image) {
    return {.media_type = image.manifest_media_type,
            .digest = image.manifest_digest,
            .size = static_cast<std::int64_t>(image.manifest.size())};
}

oci::Descriptor index_descriptor(const storage::ImageIndex& index) {
    return {.media_type = index.media_type,
            .digest = index.digest,
            .size = static_cast<std::int64_t>(index.content.size())};
}

std::string kind_of(const oci::Descriptor& entry) {
    if (oci::is_attestation(entry)) return "attestation";
    return entry.platform && entry.platform->os == "unknown" ? "unknown" : "image";
}

}  // namespace

ManifestLister::ManifestLister(const Context& context) : context_(context) {
    for (const auto& container : context.containers.all())
        containers_[container->spec()->image_id].push_back(container->id());
}

/// Of the blobs that its layers came in.
Result<std::uint64_t> ManifestLister::kept_bytes(const storage::Image& image) const {
    std::uint64_t bytes = 0;
    if (image.chain_id.empty()) return bytes;
    for (const auto& layer : TRY(context_.store->layers().chain(image.chain_id)))
        for (const auto& kept : TRY(context_.store->packed_layers().of(layer.diff_id)))
            bytes += kept.size;
    return bytes;
}

Result<void> ManifestLister::fill_image(apitypes::ManifestSummary& summary,
                                        const storage::Image& image,
                                        const oci::Platform& platform) const {
    const auto unpacked = static_cast<std::int64_t>(image.size);
    const auto users = containers_.find(image.id);
    summary.available = true;
    summary.size.content = summary.descriptor.size +
                           static_cast<std::int64_t>(image.config.size() + TRY(kept_bytes(image)));
    summary.size.total = summary.size.content + unpacked;
    summary.image_data = apitypes::ManifestImageData{
        .platform = platform,
        .containers = users == containers_.end() ? apitypes::Strings() : users->second,
        .size = {.unpacked = unpacked}};
    return {};
}

Result<apitypes::ManifestSummary> ManifestLister::entry_summary(
    const oci::Descriptor& entry, const storage::ImageIndex& index) const {
    apitypes::ManifestSummary summary{
        .id = entry.digest, .descriptor = entry, .kind = kind_of(entry)};
    const auto here =
        std::ranges::find(index.images, entry.digest, &storage::IndexedImage::manifest_digest);
    if (here != index.images.end()) {
        const auto image = TRY(context_.store->images().get(here->image_id));
        TRY(fill_image(summary, image,
                       entry.platform ? *entry.platform : TRY(image::platform_of(image))));
    } else if (summary.kind == "image") {
        summary.image_data = apitypes::ManifestImageData{
            .platform = entry.platform.value_or(oci::Platform()), .containers = {}, .size = {}};
    } else if (summary.kind == "attestation") {
        const auto subject = entry.annotations.find(attestation_subject);
        summary.attestation_data = apitypes::AttestationData{
            .of = subject == entry.annotations.end() ? std::string() : subject->second};
    }
    return summary;
}

Result<apitypes::ManifestSummaries> ManifestLister::manifests(const storage::Image& image) const {
    apitypes::ManifestSummaries summaries;
    std::set<std::string> told;
    for (const std::string& digest : image.indexes) {
        const auto index = TRY(context_.store->indexes().find(digest));
        if (!index) continue;  // its last name went meanwhile
        for (const auto& entry : TRY(image::parse_index(*index)).manifests)
            if (told.insert(entry.digest).second)
                summaries.push_back(TRY(entry_summary(entry, *index)));
    }
    if (!summaries.empty() || image.manifest.empty()) return summaries;
    apitypes::ManifestSummary only{
        .id = image.manifest_digest, .descriptor = manifest_descriptor(image), .kind = "image"};
    TRY(fill_image(only, image, TRY(image::platform_of(image))));
    summaries.push_back(std::move(only));
    return summaries;
}

Result<std::optional<oci::Descriptor>> ManifestLister::descriptor(
    const storage::Image& image) const {
    if (!image.indexes.empty())
        if (const auto index = TRY(context_.store->indexes().find(image.indexes.front())))
            return std::optional(index_descriptor(*index));
    if (image.manifest.empty()) return std::optional<oci::Descriptor>();
    return std::optional(manifest_descriptor(image));
}

Result<std::vector<storage::Image>> ManifestLister::platforms(const storage::Image& image) const {
    std::vector<storage::Image> images{image};
    for (const std::string& digest : image.indexes)
        for (auto& other : TRY(image::platform_images(
                 *context_.store, {.id = image.id, .by_reference = true, .index = digest})))
            if (std::ranges::find(images, other.id, &storage::Image::id) == images.end())
                images.push_back(std::move(other));
    return images;
}

std::int64_t ManifestLister::users(const std::vector<storage::Image>& images) const {
    std::int64_t count = 0;
    for (const auto& image : images)
        if (const auto found = containers_.find(image.id); found != containers_.end())
            count += static_cast<std::int64_t>(found->second.size());
    return count;
}

Result<std::uint64_t> ManifestLister::size_of_layers(
    const std::vector<storage::Image>& images) const {
    std::uint64_t size = 0;
    std::set<std::string> counted;
    for (const auto& image : images) {
        if (image.chain_id.empty()) continue;
        for (const auto& layer : TRY(context_.store->layers().chain(image.chain_id)))
            if (counted.insert(layer.chain_id).second) size += layer.size;
    }
    return size;
}

}  // namespace corten::engine
