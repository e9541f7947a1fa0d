#include <base/text.hpp>
#include <oci/image_spec.hpp>

namespace corten::oci {

namespace {

Result<void> check_descriptor(const Descriptor& descriptor, std::string_view what) {
    TRY(check_digest(descriptor.digest, fmt::format("{} digest", what)));
    if (descriptor.size < 0)
        return fail(ErrorKind::invalid, "{} has the negative size {}", what, descriptor.size);
    return {};
}

bool is_schema1(std::string_view type) {
    return type == media::docker_schema1 || type == media::docker_schema1_signed;
}

bool has_member(const Json& document, const char* name) {
    const auto found = document.find(name);
    return found != document.end() && !found->is_null();
}

std::string own_media_type(const Json& document) {
    const auto found = document.find("mediaType");
    if (found == document.end() || !found->is_string()) return {};
    return found->get<std::string>();
}

/// A document with members of both forms, or a media type of one and members of the other, means
/// one image to one reader and another to the next.
Result<void> check_unambiguous(const Json& document, std::string_view type) {
    const bool as_index = has_member(document, "manifests");
    const bool as_manifest = has_member(document, "layers") || has_member(document, "config");
    if (as_index && as_manifest)
        return fail(ErrorKind::invalid,
                    "manifest is ambiguous: it has members of an image and of an index");
    if ((is_index(type) && as_manifest) || (is_manifest(type) && as_index))
        return fail(ErrorKind::invalid,
                    "manifest is ambiguous: its members contradict the media type {}", type);
    if (!as_index && !as_manifest)
        return fail(ErrorKind::invalid, "manifest has neither layers nor manifests");
    return {};
}

Result<void> check_version(const Json& document, std::string_view type) {
    const auto version = document.find("schemaVersion");
    const bool known = version != document.end() && version->is_number_integer();
    if (is_schema1(type) || has_member(document, "fsLayers") || (known && *version == 1))
        return fail(
            ErrorKind::unsupported,
            "the image is in docker's manifest version 2, schema 1, which is not supported: "
            "its publisher has to push it again with a current client");
    if (!known || *version != 2) return fail(ErrorKind::invalid, "manifest has no schemaVersion 2");
    return {};
}

/// What the document is, from its own member and from what was said about it.
Result<std::string> agreed_type(const Json& document, std::string_view content_type) {
    const std::string_view said = trim(split_once(content_type, ';').first);
    std::string own = own_media_type(document);
    const bool said_something = is_index(said) || is_manifest(said) || is_schema1(said);
    if (own.empty() || own == said) return std::string(said);
    if (said_something)
        return fail(ErrorKind::invalid, "manifest says it is {}, but was announced as {}", own,
                    said);
    return own;
}

Result<Manifest> read_manifest(const Json& document) {
    auto manifest = TRY(from_json<Manifest>(document, ""));
    TRY(check_descriptor(manifest.config, "config"));
    if (manifest.layers.size() > layer_limit)
        return fail(ErrorKind::invalid, "manifest has {} layers, more than {}",
                    manifest.layers.size(), layer_limit);
    for (const auto& layer : manifest.layers) TRY(check_descriptor(layer, "layer"));
    if (manifest.subject) TRY(check_descriptor(*manifest.subject, "subject"));
    return manifest;
}

Result<Index> read_index(const Json& document) {
    auto index = TRY(from_json<Index>(document, ""));
    for (const auto& entry : index.manifests) TRY(check_descriptor(entry, "index entry"));
    return index;
}

}  // namespace

Result<void> check_digest(std::string_view digest, std::string_view what) {
    const auto [algorithm, hex_part] = split_once(digest, ':');
    if (algorithm != "sha256" && digest.contains(':') && !algorithm.empty())
        return fail(ErrorKind::unsupported, "{} {} uses an algorithm other than sha256", what,
                    digest);
    if (algorithm != "sha256" || hex_part.size() != 64 || !is_lower_hex(hex_part))
        return fail(ErrorKind::invalid, "{} '{}' is not sha256: and 64 hex digits", what, digest);
    return {};
}

std::string_view digest_hex(std::string_view digest) {
    return split_once(digest, ':').second;
}

std::string_view short_digest(std::string_view digest) {
    return digest_hex(digest).substr(0, 12);
}

bool is_index(std::string_view type) {
    return type == media::oci_index || type == media::docker_list;
}

bool is_manifest(std::string_view type) {
    return type == media::oci_manifest || type == media::docker_manifest;
}

Result<std::variant<Manifest, Index>> parse_manifest(std::string_view bytes,
                                                     std::string_view content_type) {
    if (bytes.size() > manifest_limit)
        return fail(ErrorKind::invalid, "manifest has {} bytes, more than {}", bytes.size(),
                    manifest_limit);
    const Json document = TRY(parse_json(bytes, "manifest"));
    if (!document.is_object()) return fail(ErrorKind::invalid, "manifest is not a JSON object");
    std::string type = TRY(agreed_type(document, content_type));
    TRY(check_version(document, type));
    TRY(check_unambiguous(document, type));
    if (has_member(document, "manifests")) {
        auto index = TRY(read_index(document).context("manifest list"));
        index.media_type = is_index(type) ? type : std::string(media::oci_index);
        return std::variant<Manifest, Index>(std::move(index));
    }
    auto manifest = TRY(read_manifest(document).context("manifest"));
    manifest.media_type = is_manifest(type) ? type : std::string(media::oci_manifest);
    return std::variant<Manifest, Index>(std::move(manifest));
}

Result<Image> parse_image(std::string_view bytes, std::optional<std::size_t> layers) {
    if (bytes.size() > config_limit)
        return fail(ErrorKind::invalid, "image config has {} bytes, more than {}", bytes.size(),
                    config_limit);
    auto image = TRY(parse_as<Image>(bytes, "image config"));
    const auto& ids = image.rootfs.diff_ids;
    if (image.rootfs.type != "layers")
        return fail(ErrorKind::unsupported, "image config: rootfs of type {}", image.rootfs.type);
    for (const auto& id : ids) TRY(check_digest(id, "image config: diff id"));
    if (layers && *layers != ids.size())
        return fail(ErrorKind::corrupt, "image config lists {} layers, its manifest {}", ids.size(),
                    *layers);
    return image;
}

Result<Compression> layer_compression(std::string_view type) {
    if (!type.contains("layer") && !type.contains("rootfs.diff"))
        return fail(ErrorKind::unsupported, "{} is no file system layer: not a container image",
                    type);
    if (type.contains("encrypted"))
        return fail(ErrorKind::unsupported, "the layer is encrypted ({})", type);
    if (type.ends_with(".tar")) return Compression::none;
    if (type.ends_with("+gzip") || type.ends_with(".tar.gzip")) return Compression::gzip;
    if (type.ends_with("+zstd") || type.ends_with(".tar.zstd")) return Compression::zstd;
    return fail(ErrorKind::unsupported, "layer of unknown type {}", type);
}

bool is_foreign_layer(std::string_view type) {
    return type.contains(".rootfs.foreign.diff.") || type.contains(".layer.nondistributable.");
}

}  // namespace corten::oci
