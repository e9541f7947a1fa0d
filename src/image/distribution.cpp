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

/// What was fetched of one name, and the sessions to ask on with.
struct Fetched {
    Fetched(const PullOptions& options, FdView cancel)
        : transport(transport_options(options, cancel)) {}

    Transport transport;
    Reference reference;
    std::vector<std::unique_ptr<Session>> sessions;
    FetchedManifest manifest;
    std::variant<oci::Manifest, oci::Index> parsed;

    Result<void> fetch(std::string_view text, const Credentials& credentials,
                       const RegistryConfig& config);
    oci::Descriptor descriptor() const;
};

Result<void> Fetched::fetch(std::string_view text, const Credentials& credentials,
                            const RegistryConfig& config) {
    reference = TRY(Reference::parse(text)).with_default_tag();
    sessions = TRY(open_sessions(transport, config, reference, credentials, "pull"));
    manifest = TRY(with_first_reachable<FetchedManifest>(
        sessions, [&](Session& session) { return session.manifest(reference.target()); }));
    parsed = TRY(oci::parse_manifest(manifest.bytes, manifest.content_type));
    return {};
}

oci::Descriptor Fetched::descriptor() const {
    return {.media_type = manifest.content_type,
            .digest = manifest.digest,
            .size = static_cast<std::int64_t>(manifest.bytes.size())};
}

bool is_of_container(const oci::Manifest& manifest) {
    return manifest.config.media_type == oci::media::docker_config ||
           manifest.config.media_type == oci::media::oci_config;
}

}  // namespace

Result<DistributedImage> ask_registry(std::string_view text, const Credentials& credentials,
                                      const PullOptions& options, FdView cancel) {
    Fetched fetched(options, cancel);
    TRY(fetched.fetch(text, credentials, options.registry));
    DistributedImage found{.descriptor = fetched.descriptor(), .platforms = {}};
    if (const auto* index = std::get_if<oci::Index>(&fetched.parsed))
        found.platforms = platforms_of(*index);
    else
        found.platforms = {
            TRY(ask_platform(fetched.sessions, std::get<oci::Manifest>(fetched.parsed)))};
    return found;
}

Result<RegistryManifest> fetch_manifest(std::string_view text, const Credentials& credentials,
                                        const PullOptions& options, FdView cancel) {
    Fetched fetched(options, cancel);
    TRY(fetched.fetch(text, credentials, options.registry));
    RegistryManifest found{.reference = fetched.reference.canonical(),
                           .descriptor = fetched.descriptor(),
                           .bytes = fetched.manifest.bytes};
    const auto* manifest = std::get_if<oci::Manifest>(&fetched.parsed);
    if (manifest && is_of_container(*manifest))
        found.descriptor.platform = TRY(ask_platform(fetched.sessions, *manifest));
    return found;
}

}  // namespace corten::image
