#include "resolve.hpp"

namespace corten::image {

namespace {

constexpr int deepest_index = 4;

/// Only what describes a container image: not a chart, a signature or another artifact.
Result<void> check_is_image(const oci::Manifest& manifest) {
    const auto& type = manifest.config.media_type;
    const bool known = type == oci::media::docker_config || type == oci::media::oci_config ||
                       type.empty() || type == "application/octet-stream";
    if (!known || !manifest.artifact_type.empty())
        return fail(ErrorKind::unsupported,
                    "the reference names no container image, but an artifact of type {}",
                    manifest.artifact_type.empty() ? type : manifest.artifact_type);
    for (const auto& layer : manifest.layers)
        TRY(oci::layer_compression(layer.media_type).context("layer " + layer.digest));
    return {};
}

Result<FetchedManifest> fetch_entry(Session& session, const oci::Descriptor& entry) {
    auto fetched = TRY(session.manifest(entry.digest));
    if (static_cast<std::int64_t>(fetched.bytes.size()) != entry.size)
        return fail(ErrorKind::corrupt, "manifest {} has {} bytes, its index says {}", entry.digest,
                    fetched.bytes.size(), entry.size);
    if (!entry.media_type.empty()) fetched.content_type = entry.media_type;
    return fetched;
}

/// Goes down from an index, which may hold indexes, to a manifest.
Result<void> descend(Resolved& resolved, const oci::Platform& platform) {
    for (int depth = 0; depth < deepest_index; ++depth) {
        auto parsed =
            TRY(oci::parse_manifest(resolved.manifest.bytes, resolved.manifest.content_type));
        if (auto* manifest = std::get_if<oci::Manifest>(&parsed)) {
            resolved.image = std::move(*manifest);
            return check_is_image(resolved.image);
        }
        const auto& index = std::get<oci::Index>(parsed);
        const auto entry = TRY(oci::choose_platform(index, platform));
        auto fetched = TRY(with_first_that_has<FetchedManifest>(
            resolved.sessions, [&](Session& session) { return fetch_entry(session, entry); }));
        auto named = std::exchange(resolved.manifest, std::move(fetched));
        named.content_type = index.media_type;
        resolved.index = depth == 0 ? std::optional(std::move(named)) : std::nullopt;
    }
    return fail(ErrorKind::invalid, "indexes are nested deeper than {}", deepest_index);
}

}  // namespace

TransportOptions transport_options(const PullOptions& options, FdView cancel) {
    return {.connect_timeout = options.connect_timeout,
            .stall_timeout = options.stall_timeout,
            .attempts = options.attempts,
            .first_pause = options.first_pause,
            .certificate_directories = options.registry.certificate_directories,
            .insecure = options.registry.insecure,
            .cancel = cancel};
}

std::vector<Session*> Resolved::session_list() const {
    std::vector<Session*> list;
    list.reserve(sessions.size());
    for (const auto& session : sessions) list.push_back(session.get());
    return list;
}

Result<std::vector<std::unique_ptr<Session>>> open_sessions(Transport& transport,
                                                            const RegistryConfig& config,
                                                            const Reference& repository,
                                                            const Credentials& credentials,
                                                            std::string_view actions) {
    TRY(check_allowed(repository, config));
    std::vector<std::unique_ptr<Session>> sessions;
    for (auto& endpoint : endpoints_of(repository, config))
        sessions.push_back(std::make_unique<Session>(transport, std::move(endpoint), repository,
                                                     credentials, actions));
    return sessions;
}

Result<Resolved> resolve(Transport& transport, const RegistryConfig& config,
                         const Reference& reference, const Credentials& credentials,
                         const oci::Platform& platform) {
    Resolved resolved;
    resolved.sessions = TRY(open_sessions(transport, config, reference, credentials, "pull"));
    resolved.manifest = TRY(with_first_reachable<FetchedManifest>(
        resolved.sessions, [&](Session& session) { return session.manifest(reference.target()); }));
    resolved.digest = resolved.manifest.digest;
    TRY(descend(resolved, platform));
    return resolved;
}

}  // namespace corten::image
