#include "resolve.hpp"

#include <image/distribution.hpp>
#include <image/platforms.hpp>

namespace corten::image {

namespace {

std::vector<oci::Platform> platforms_of(const oci::Index& index) {
    std::vector<oci::Platform> platforms;
    for (const auto& entry : index.manifests)
        if (entry.platform) platforms.push_back(*entry.platform);
    return platforms;
}

Result<oci::Platform> ask_platform(const std::vector<std::unique_ptr<Session>>& sessions,
                                   const oci::Manifest& manifest) {
    const auto config = TRY(with_first_that_has<std::string>(sessions, [&](Session& session) {
        return session.small_blob(manifest.config, oci::config_limit);
    }));
    return platform_of(TRY(oci::parse_image(config)));
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
        found.platforms = {TRY(ask_platform(sessions, std::get<oci::Manifest>(parsed)))};
    return found;
}

}  // namespace corten::image
