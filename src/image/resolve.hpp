#pragma once
// From a reference to one image's manifest: which endpoint has it, and which entry of an index.
#include "session.hpp"

#include <image/puller.hpp>

namespace corten::image {

TransportOptions transport_options(const PullOptions& options, FdView cancel);

struct Resolved {
    /// The endpoint that answered, then those after it; owned here.
    std::vector<std::unique_ptr<Session>> sessions;
    std::string digest;        ///< of what the reference names: a manifest or an index
    FetchedManifest manifest;  ///< of the image
    /// What the reference names, when it is an index that lists the image's manifest itself. An
    /// image that is found in an index within an index is kept alone.
    std::optional<FetchedManifest> index{};
    oci::Manifest image;

    std::vector<Session*> session_list() const;
};

/// Sessions for a repository, in the order of its endpoints; `forbidden` when it may not be used.
Result<std::vector<std::unique_ptr<Session>>> open_sessions(Transport& transport,
                                                            const RegistryConfig& config,
                                                            const Reference& repository,
                                                            const Credentials& credentials,
                                                            std::string_view actions);

/// Tries `attempt` with each session until one has what it asks for. The last error is returned
/// when none does.
template <typename T>
Result<T> with_first_that_has(const std::vector<std::unique_ptr<Session>>& sessions,
                              const std::function<Result<T>(Session&)>& attempt) {
    for (auto session = sessions.begin();; ++session) {
        auto result = attempt(**session);
        if (result || session + 1 == sessions.end() || !(*session)->gives_way_after(result.error()))
            return result;
    }
}

/// The same; sessions that did not have it are removed from the front.
template <typename T>
Result<T> with_first_reachable(std::vector<std::unique_ptr<Session>>& sessions,
                               const std::function<Result<T>(Session&)>& attempt) {
    while (true) {
        auto result = attempt(*sessions.front());
        if (result || sessions.size() == 1 || !sessions.front()->gives_way_after(result.error()))
            return result;
        sessions.erase(sessions.begin());
    }
}

Result<Resolved> resolve(Transport& transport, const RegistryConfig& config,
                         const Reference& reference, const Credentials& credentials,
                         const oci::Platform& platform);

}  // namespace corten::image
