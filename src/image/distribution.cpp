#include "resolve.hpp"

#include <image/distribution.hpp>

namespace corten::image {

namespace {

std::vector<oci::Platform> platforms_of(const oci::Index& index) {
    std::vector<oci::Platform> platforms;
    for (const auto& entry : index.manifests)
        if (entry.platform) platforms.push_back(*entry.platform);
    return platforms;
}

Result<oci::Platform> platform_of(Session& session, const oci::Manifest& manifest) {
    const auto image =
        TRY(oci::parse_image(TRY(session.small_blob(manifest.config, oci::config_limit))));
    return oci::Platform{.architecture = image.architecture,
                         .os = image.os,
                         .os_version = image.os_version,
                         .os_features = image.os_features,
                         .variant = image.variant};
}

}  // namespace

Result<DistributedImage> ask_registry(std::string_view text, const Credentials& credentials,
                                      const PullOptions& options, FdView cancel) {
    const auto reference = TRY(Reference::parse(text)).with_default_tag();
    Transport transport(transport_options(options, cancel));
    auto sessions = TRY(open_sessions(transport, options.registry, reference, credentials, "pull"));
    const auto fetched = TRY(with_first_reachable<FetchedManifest>(
        sessions, [&](Session& session) { return session.manifest(reference.target()); }));
    const auto parsed = TRY(oci::parse_manifest(fetched.bytes, fetched.content_type));
    DistributedImage found{.descriptor = {.media_type = fetched.content_type,
                                          .digest = fetched.digest,
                                          .size = static_cast<std::int64_t>(fetched.bytes.size())},
                           .platforms = {}};
    if (const auto* index = std::get_if<oci::Index>(&parsed))
        found.platforms = platforms_of(*index);
    else
        found.platforms = {TRY(platform_of(*sessions.front(), std::get<oci::Manifest>(parsed)))};
    return found;
}

}  // namespace corten::image
