#include <image/platforms.hpp>

#include <algorithm>

namespace corten::image {

namespace {

/// An image may be in several indexes, with a manifest for each.
void use_manifest(storage::Image& image, const storage::IndexedImage& entry) {
    const auto parsed = oci::parse_manifest(entry.manifest, "");
    const auto* manifest = parsed ? std::get_if<oci::Manifest>(&*parsed) : nullptr;
    image.manifest = entry.manifest;
    image.manifest_digest = entry.manifest_digest;
    image.manifest_media_type = manifest ? manifest->media_type : std::string();
}

Error no_such_platform(const std::vector<storage::Image>& images, std::string_view name,
                       const oci::Platform& wanted) {
    if (images.size() == 1)
        if (const auto has = platform_of(images.front()))
            return fail(ErrorKind::not_found,
                        "image with reference {} was found but its platform ({}) does not match "
                        "the specified platform ({})",
                        name, oci::to_string(oci::normalized(*has)), oci::to_string(wanted));
    return fail(
        ErrorKind::not_found,
        "image with reference {} was found but does not provide the specified platform ({})", name,
        oci::to_string(wanted));
}

}  // namespace

oci::Platform platform_of(const oci::Image& document) {
    return {.architecture = document.architecture,
            .os = document.os,
            .os_version = document.os_version,
            .os_features = document.os_features,
            .variant = document.variant};
}

Result<oci::Platform> platform_of(const storage::Image& image) {
    return platform_of(TRY(oci::parse_image(image.config).context(image.id)));
}

bool provides(const oci::Platform& has, const oci::Platform& wanted) {
    const auto a = oci::normalized(has);
    const auto b = oci::normalized(wanted);
    return a.os == b.os && a.architecture == b.architecture &&
           (b.variant.empty() || a.variant == b.variant);
}

Result<std::vector<storage::Image>> platform_images(storage::Store& store,
                                                    const storage::FoundImage& found) {
    std::vector<storage::Image> images{TRY(store.images().get(found.id))};
    if (found.index.empty()) return images;
    const auto index = TRY(store.indexes().find(found.index));
    if (!index) return images;  // its last name went meanwhile
    for (const auto& entry : index->images) {
        if (entry.image_id == found.id) {
            use_manifest(images.front(), entry);
            continue;
        }
        images.push_back(TRY(store.images().get(entry.image_id)));
        use_manifest(images.back(), entry);
    }
    return images;
}

Result<storage::Image> image_for(storage::Store& store, const storage::FoundImage& found,
                                 std::string_view name,
                                 const std::optional<oci::Platform>& wanted) {
    auto images = TRY(platform_images(store, found));
    if (!wanted) return std::move(images.front());
    const auto asked = oci::normalized(*wanted);
    storage::Image* fitting = nullptr;
    for (auto& image : images) {
        const auto has = oci::normalized(TRY(platform_of(image)));
        if (!provides(has, asked)) continue;
        if (!fitting || has.variant == asked.variant) fitting = &image;
    }
    if (!fitting) return no_such_platform(images, name, asked);
    return std::move(*fitting);
}

Result<oci::Index> parse_index(const storage::ImageIndex& index) {
    auto parsed =
        TRY(oci::parse_manifest(index.content, index.media_type).context("index " + index.digest));
    if (auto* document = std::get_if<oci::Index>(&parsed)) return std::move(*document);
    return fail(ErrorKind::corrupt, "index {} is no index", index.digest);
}

}  // namespace corten::image
