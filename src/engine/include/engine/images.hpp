#pragma once
// Images as the API sees them; src/image and src/storage do the work. `ref` is a reference in any
// form, an image id or a unique prefix of one.
#include <apitypes/container_config.hpp>
#include <apitypes/image.hpp>
#include <apitypes/store.hpp>
#include <apitypes/system.hpp>
#include <base/stream.hpp>
#include <engine/events.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::engine {

class Context;

struct RegistryCredentials {
    std::string username;
    std::string password;
    std::string identity_token;
    std::string registry_token;  ///< a bearer token to be used as it is
    std::string server_address;
};

struct PullImage {
    std::string reference;  ///< with tag or digest; without one: all tags of the repository
    std::string platform;
    RegistryCredentials credentials;
};

struct ListImages {
    bool all = false;
    Filters filters{};
    bool shared_size = false;  ///< count what other images have too
    bool manifests = false;    ///< tell each platform
};

struct InspectImage {
    std::optional<oci::Platform> platform{};
    bool manifests = false;
};

struct PushImage {
    std::string reference;
    std::optional<oci::Platform> platform{};
    RegistryCredentials credentials{};
};

using Platforms = std::vector<oci::Platform>;

/// One line of docker's progress stream.
using ProgressSink = std::function<void(const apitypes::ProgressLine& line)>;

class Images {
public:
    explicit Images(Context& context);

    /// An image that is there as another platform's of a name stands in that name's entry, not in
    /// one of its own.
    Result<std::vector<apitypes::ImageSummary>> list(const ListImages& request) const;
    Result<apitypes::ImageInspect> inspect(std::string_view ref,
                                           const InspectImage& request = {}) const;
    Result<std::vector<apitypes::HistoryEntry>> history(
        std::string_view ref, const std::optional<oci::Platform>& platform = {}) const;
    /// `cancel` becomes readable when the client is gone.
    Result<void> pull(const PullImage& request, const ProgressSink& progress, FdView cancel);
    Result<void> push(const PushImage& request, const ProgressSink& progress, FdView cancel);
    Result<void> tag(std::string_view ref, std::string_view repository, std::string_view tag);
    struct Remove {
        bool force = false;
        bool prune_parents = true;
        Platforms platforms{};  ///< when there are any, of a name's images only theirs
    };
    Result<std::vector<apitypes::ImageDeleted>> remove(std::string_view ref, const Remove& request);
    Result<apitypes::ImagesPruned> prune(const Filters& filters);
    /// Of each name all platforms that are here, or those of `platforms`.
    Result<void> save(const std::vector<std::string>& refs, const Platforms& platforms,
                      const ByteSink& sink) const;
    Result<void> load(const ByteSource& source, const Platforms& platforms,
                      const ProgressSink& progress);
    struct Import {
        std::string repository;
        std::string tag;
        std::string message;
        std::vector<std::string> changes;
        std::string platform;
        std::string url;  ///< where the archive is; empty: it comes with the request
    };
    /// From `source`, or from the request's URL.
    Result<std::string> import(const Import& request, const ByteSource& source,
                               const ProgressSink& progress, FdView cancel);
    struct Commit {
        std::string repository;  ///< empty: an image without a name
        std::string tag;
        std::string author;
        std::string comment;
        std::vector<std::string> changes;                 ///< Dockerfile instructions
        std::optional<apitypes::ContainerConfig> config;  ///< instead of the container's own
        bool pause = true;  ///< keeps a running container still meanwhile
    };
    /// What the container wrote, as a new image over its own; gives the id.
    Result<std::string> commit(std::string_view container_ref, const Commit& request);
    /// An image made from the distribution's own packages: "debian" or "busybox".
    Result<void> bootstrap(std::string_view name, const ProgressSink& progress, FdView cancel);
    /// What the registry has under a name.
    Result<apitypes::DistributionInspect> ask_registry(std::string_view ref,
                                                       const RegistryCredentials& credentials,
                                                       FdView cancel) const;
    struct AskManifest {
        std::string reference;
        bool insecure = false;  ///< its registry counts as one of the insecure ones
        RegistryCredentials credentials{};
    };
    /// The manifest or index that a registry has under a name, as it is.
    Result<apitypes::ManifestInspect> ask_manifest(const AskManifest& request, FdView cancel) const;
    /// Repositories that a registry finds for "[REGISTRY/]TEXT", at most `limit`. Filters:
    /// is-official, is-automated, stars (at least).
    Result<std::vector<apitypes::FoundImage>> search(std::string_view term, std::size_t limit,
                                                     const Filters& filters,
                                                     const RegistryCredentials& credentials,
                                                     FdView cancel) const;
    /// Everything in the store against its digests (unless `quick`) and references, with what can
    /// be mended mended if `repair`.
    Result<apitypes::StoreReport> check_store(bool quick, bool repair);
    /// Checks credentials with the registry.
    Result<apitypes::AuthReply> login(const RegistryCredentials& credentials, FdView cancel);

private:
    Context& context_;
};

}  // namespace corten::engine
