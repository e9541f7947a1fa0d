#pragma once
// Replies about images. Source: Docker Engine API 1.51, recorded replies of 28.5.
#include <apitypes/container.hpp>
#include <oci/image_spec.hpp>

namespace corten::apitypes {

struct ManifestSize {
    std::int64_t total = 0;
    std::int64_t content = 0;  ///< manifest, configuration and packed layers that are kept
    static constexpr void fields(auto visit) {
        visit(field("Total", &ManifestSize::total), field("Content", &ManifestSize::content));
    }
};

struct UnpackedSize {
    std::int64_t unpacked = 0;
    static constexpr void fields(auto visit) { visit(field("Unpacked", &UnpackedSize::unpacked)); }
};

struct ManifestImageData {
    oci::Platform platform;
    Strings containers;  ///< ids of those made from it
    UnpackedSize size;
    static constexpr void fields(auto visit) {
        using C = ManifestImageData;
        visit(field("Platform", &C::platform), field("Containers", &C::containers),
              field("Size", &C::size));
    }
};

struct AttestationData {
    std::string of;  ///< digest of the manifest it is about
    static constexpr void fields(auto visit) { visit(field("For", &AttestationData::of)); }
};

/// One entry of an index, or the one manifest of an image: what is here of it. From 1.47 on.
struct ManifestSummary {
    std::string id;  ///< the manifest's digest
    oci::Descriptor descriptor;
    bool available = false;
    ManifestSize size;
    std::string kind;  ///< image, attestation or unknown
    std::optional<ManifestImageData> image_data;
    std::optional<AttestationData> attestation_data;

    static constexpr void fields(auto visit) {
        using C = ManifestSummary;
        visit(field("ID", &C::id), field("Descriptor", &C::descriptor),
              field("Available", &C::available), field("Size", &C::size), field("Kind", &C::kind),
              omit_empty("ImageData", &C::image_data),
              omit_empty("AttestationData", &C::attestation_data));
    }
};
using ManifestSummaries = std::vector<ManifestSummary>;

/// An element of GET /images/json.
struct ImageSummary {
    std::int64_t containers = -1;  ///< how many use it; -1: not counted
    std::int64_t created = 0;      ///< unix seconds
    std::string id;
    OptionalStringMap labels;
    std::string parent_id;
    std::optional<oci::Descriptor> descriptor;   ///< of the manifest or index, from 1.48 on
    std::optional<ManifestSummaries> manifests;  ///< when they were asked for
    StringList repo_digests = Strings{};
    StringList repo_tags = Strings{};
    std::int64_t shared_size = -1;  ///< -1: not computed
    std::int64_t size = 0;
    std::optional<std::int64_t> virtual_size;  ///< before 1.44

    static constexpr void fields(auto visit) {
        using C = ImageSummary;
        visit(field("Containers", &C::containers), field("Created", &C::created),
              field("Id", &C::id), field("Labels", &C::labels), field("ParentId", &C::parent_id),
              omit_empty("Descriptor", &C::descriptor), omit_empty("Manifests", &C::manifests),
              field("RepoDigests", &C::repo_digests), field("RepoTags", &C::repo_tags),
              field("SharedSize", &C::shared_size), field("Size", &C::size),
              omit_empty("VirtualSize", &C::virtual_size));
    }
};

struct RootFs {
    std::string type = "layers";
    Strings layers;  ///< diff ids, lowest first
    static constexpr void fields(auto visit) {
        visit(field("Type", &RootFs::type), omit_empty("Layers", &RootFs::layers));
    }
};

struct ImageMetadata {
    std::string last_tag_time = "0001-01-01T00:00:00Z";
    static constexpr void fields(auto visit) {
        visit(field("LastTagTime", &ImageMetadata::last_tag_time));
    }
};

/// What an image gives the containers made from it. 28.5 writes this subset of ContainerConfig,
/// sorted by name.
struct ImageConfig {
    StrSlice cmd;
    bool args_escaped = false;
    StrSlice entrypoint;
    StringList env;
    NameSet exposed_ports;
    std::optional<HealthConfig> healthcheck;
    OptionalStringMap labels;
    StringList on_build;
    StrSlice shell;
    std::string stop_signal;
    std::string user;
    std::optional<NameSet> volumes;
    std::string working_dir;

    static constexpr void fields(auto visit) {
        using C = ImageConfig;
        visit(omit_empty("ArgsEscaped", &C::args_escaped), field("Cmd", &C::cmd),
              field("Entrypoint", &C::entrypoint), field("Env", &C::env),
              omit_empty("ExposedPorts", &C::exposed_ports),
              omit_empty("Healthcheck", &C::healthcheck), field("Labels", &C::labels),
              field("OnBuild", &C::on_build), omit_empty("Shell", &C::shell),
              omit_empty("StopSignal", &C::stop_signal), field("User", &C::user),
              field("Volumes", &C::volumes), field("WorkingDir", &C::working_dir));
    }
};

/// Reply of GET /images/{name}/json.
struct ImageInspect {
    std::string id;
    Strings repo_tags;
    Strings repo_digests;
    std::string parent;
    std::string comment;
    std::string created;
    std::string docker_version;
    std::string author;
    std::string architecture;
    std::string variant;
    std::string os;
    std::int64_t size = 0;
    std::optional<std::int64_t> virtual_size;  ///< before 1.44
    GraphDriver graph_driver;
    RootFs root_fs;
    ImageMetadata metadata;
    std::optional<oci::Descriptor> descriptor;   ///< of the manifest or index, from 1.48 on
    std::optional<ManifestSummaries> manifests;  ///< when they were asked for
    std::optional<ImageConfig> config;

    static constexpr void fields(auto visit) {
        using C = ImageInspect;
        visit(field("Id", &C::id), field("RepoTags", &C::repo_tags),
              field("RepoDigests", &C::repo_digests), field("Parent", &C::parent),
              field("Comment", &C::comment), omit_empty("Created", &C::created),
              field("DockerVersion", &C::docker_version), field("Author", &C::author),
              field("Architecture", &C::architecture), omit_empty("Variant", &C::variant),
              field("Os", &C::os), field("Size", &C::size),
              omit_empty("VirtualSize", &C::virtual_size), field("GraphDriver", &C::graph_driver),
              field("RootFS", &C::root_fs), field("Metadata", &C::metadata),
              omit_empty("Descriptor", &C::descriptor), omit_empty("Manifests", &C::manifests),
              field("Config", &C::config));
    }
};

/// An element of GET /images/{name}/history, newest first.
struct HistoryEntry {
    std::string comment;
    std::int64_t created = 0;
    std::string created_by;
    std::string id;  ///< "<missing>" for all but images that are stored here
    std::int64_t size = 0;
    StringList tags;

    static constexpr void fields(auto visit) {
        using C = HistoryEntry;
        visit(field("Comment", &C::comment), field("Created", &C::created),
              field("CreatedBy", &C::created_by), field("Id", &C::id), field("Size", &C::size),
              field("Tags", &C::tags));
    }
};

/// An element of DELETE /images/{name}'s reply and of a prune: one of the two.
struct ImageDeleted {
    std::string untagged;
    std::string deleted;
    static constexpr void fields(auto visit) {
        visit(omit_empty("Untagged", &ImageDeleted::untagged),
              omit_empty("Deleted", &ImageDeleted::deleted));
    }
};

struct ImagesPruned {
    std::optional<std::vector<ImageDeleted>> images_deleted;
    std::int64_t space_reclaimed = 0;
    static constexpr void fields(auto visit) {
        visit(field("ImagesDeleted", &ImagesPruned::images_deleted),
              field("SpaceReclaimed", &ImagesPruned::space_reclaimed));
    }
};

/// An element of GET /images/search.
struct SearchResult {
    int star_count = 0;
    bool is_official = false;
    std::string name;
    bool is_automated = false;
    std::string description;

    static constexpr void fields(auto visit) {
        using C = SearchResult;
        visit(field("star_count", &C::star_count), field("is_official", &C::is_official),
              field("name", &C::name), field("is_automated", &C::is_automated),
              field("description", &C::description));
    }
};

struct ProgressDetail {
    std::int64_t current = 0;
    std::int64_t total = 0;
    static constexpr void fields(auto visit) {
        visit(omit_empty("current", &ProgressDetail::current),
              omit_empty("total", &ProgressDetail::total));
    }
};

struct ProgressError {
    int code = 0;
    std::string message;
    static constexpr void fields(auto visit) {
        visit(omit_empty("code", &ProgressError::code),
              omit_empty("message", &ProgressError::message));
    }
};

/// One line of the streams of pull, push, load, import and build. `progress_detail` is present (and
/// may be {}) on lines of a layer, absent on plain status lines.
struct ProgressLine {
    std::string stream;
    std::string status;
    std::optional<ProgressDetail> progress_detail;
    std::string progress;
    std::string id;
    std::optional<ProgressError> error_detail;
    std::string error;
    std::optional<Json> aux;

    static constexpr void fields(auto visit) {
        using C = ProgressLine;
        visit(omit_empty("stream", &C::stream), omit_empty("status", &C::status),
              omit_empty("progressDetail", &C::progress_detail),
              omit_empty("progress", &C::progress), omit_empty("id", &C::id),
              omit_empty("errorDetail", &C::error_detail), omit_empty("error", &C::error),
              omit_empty("aux", &C::aux));
    }
};

/// "linux/arm64/v8" as the query parameter `platform` of the routes that take it as JSON.
Result<Json> platform_parameter(std::string_view text);
/// The reverse, of a platform in a reply; "unknown" for what is none.
std::string platform_text(const Json& platform);

Json to_json(const ImageInspect& inspect);
Result<ImageInspect> image_inspect_from(const Json& json);

/// Reply of GET /distribution/{name}/json.
struct DistributionInspect {
    oci::Descriptor descriptor;
    std::vector<oci::Platform> platforms;

    static constexpr void fields(auto visit) {
        using C = DistributionInspect;
        visit(field("Descriptor", &C::descriptor), field("Platforms", &C::platforms));
    }
};

/// Reply of GET /corten/manifest: Ref, Descriptor and Raw are what docker's command shows of each.
struct ManifestInspect {
    std::string reference;
    oci::Descriptor descriptor;
    std::string raw;  ///< the registry's bytes in base64

    static constexpr void fields(auto visit) {
        visit(field("Ref", &ManifestInspect::reference),
              field("Descriptor", &ManifestInspect::descriptor),
              field("Raw", &ManifestInspect::raw));
    }
};

/// An element of GET /images/search.
struct FoundImage {
    std::int64_t star_count = 0;
    bool is_official = false;
    std::string name;
    bool is_automated = false;
    std::string description;

    static constexpr void fields(auto visit) {
        using C = FoundImage;
        visit(field("star_count", &C::star_count), field("is_official", &C::is_official),
              field("name", &C::name), field("is_automated", &C::is_automated),
              field("description", &C::description));
    }
};

}  // namespace corten::apitypes
