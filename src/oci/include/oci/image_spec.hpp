#pragma once
// Image-spec types: descriptor, manifest, index and image configuration, in the OCI form
// (opencontainers/image-spec 1.1) and docker's (manifest v2 schema 2, config with Healthcheck,
// OnBuild, Shell). Reading validates: what comes out of parse_*() has well-formed digests, sizes
// that are not negative, and one meaning only. No I/O.
#include <base/json.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace corten::oci {

namespace media {
inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view oci_layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view oci_layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view docker_manifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_list =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer_gzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_schema1 =
    "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr std::string_view docker_schema1_signed =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";
}  // namespace media

/// Largest manifest or index taken, in bytes: the distribution spec asks for 4 MiB at least.
inline constexpr std::size_t manifest_limit = 8 << 20;
/// Largest image configuration taken, in bytes.
inline constexpr std::size_t config_limit = 8 << 20;
/// Most layers an image may have; overlay mounts end before that.
inline constexpr std::size_t layer_limit = 500;

/// Fails unless `digest` is "sha256:" and 64 lower-case hex digits: a digest becomes part of a
/// file name. `what` names it in the error.
Result<void> check_digest(std::string_view digest, std::string_view what = "digest");
/// The hex part of a digest that passed check_digest().
std::string_view digest_hex(std::string_view digest);
/// The 12 hex digits that progress lines show.
std::string_view short_digest(std::string_view digest);

struct Platform {
    std::string architecture;
    std::string os;
    std::string os_version;
    std::vector<std::string> os_features;
    std::string variant;

    static constexpr void fields(auto visit) {
        visit(field("architecture", &Platform::architecture), field("os", &Platform::os),
              omit_empty("os.version", &Platform::os_version),
              omit_empty("os.features", &Platform::os_features),
              omit_empty("variant", &Platform::variant));
    }
    bool operator==(const Platform&) const = default;
};

/// What this machine runs: linux and the architecture in Go's names.
Platform host_platform();
/// "linux/arm64/v8", "arm64", "linux": what is missing comes from the host. Aliases of the field
/// (x86_64, aarch64, armhf …) are understood.
Result<Platform> parse_platform(std::string_view text);
/// "linux/arm/v7".
std::string to_string(const Platform& platform);
/// Aliases resolved and default variants removed, so that equal platforms compare equal.
Platform normalized(Platform platform);

struct Descriptor {
    std::string media_type;
    std::string digest;
    std::int64_t size = 0;
    std::vector<std::string> urls;
    std::map<std::string, std::string> annotations;
    std::optional<Platform> platform;
    std::string artifact_type;

    static constexpr void fields(auto visit) {
        visit(field("mediaType", &Descriptor::media_type), field("digest", &Descriptor::digest),
              field("size", &Descriptor::size), omit_empty("urls", &Descriptor::urls),
              omit_empty("annotations", &Descriptor::annotations),
              omit_empty("platform", &Descriptor::platform),
              omit_empty("artifactType", &Descriptor::artifact_type));
    }
};

struct Manifest {
    int schema_version = 2;
    std::string media_type;
    std::string artifact_type;
    Descriptor config;
    std::vector<Descriptor> layers;
    std::optional<Descriptor> subject;
    std::map<std::string, std::string> annotations;

    static constexpr void fields(auto visit) {
        visit(field("schemaVersion", &Manifest::schema_version),
              omit_empty("mediaType", &Manifest::media_type),
              omit_empty("artifactType", &Manifest::artifact_type),
              field("config", &Manifest::config), field("layers", &Manifest::layers),
              omit_empty("subject", &Manifest::subject),
              omit_empty("annotations", &Manifest::annotations));
    }
};

/// An OCI index or a docker manifest list.
struct Index {
    int schema_version = 2;
    std::string media_type;
    std::vector<Descriptor> manifests;
    std::map<std::string, std::string> annotations;

    static constexpr void fields(auto visit) {
        visit(field("schemaVersion", &Index::schema_version),
              omit_empty("mediaType", &Index::media_type), field("manifests", &Index::manifests),
              omit_empty("annotations", &Index::annotations));
    }
};

/// `content_type` is what the registry or the descriptor said (parameters are ignored); empty when
/// nothing did. The document's own mediaType must not contradict it, and a document that could be
/// read both ways is refused (CVE-2021-41190). Schema 1 is refused with a sentence.
Result<std::variant<Manifest, Index>> parse_manifest(std::string_view bytes,
                                                     std::string_view content_type);

/// Docker's HEALTHCHECK; durations in nanoseconds.
struct HealthConfig {
    std::vector<std::string> test;
    std::int64_t interval = 0;
    std::int64_t timeout = 0;
    std::int64_t start_period = 0;
    std::int64_t start_interval = 0;
    std::int64_t retries = 0;

    static constexpr void fields(auto visit) {
        visit(omit_empty("Test", &HealthConfig::test),
              omit_empty("Interval", &HealthConfig::interval),
              omit_empty("Timeout", &HealthConfig::timeout),
              omit_empty("StartPeriod", &HealthConfig::start_period),
              omit_empty("StartInterval", &HealthConfig::start_interval),
              omit_empty("Retries", &HealthConfig::retries));
    }
};

/// The {} of ExposedPorts and Volumes.
struct EmptyObject {
    static constexpr void fields(auto visit) { visit(); }
};

/// The `config` member: how to run a container of the image.
struct ImageConfig {
    std::string hostname;
    std::string domainname;
    std::string user;
    std::map<std::string, EmptyObject> exposed_ports;
    std::vector<std::string> env;
    std::optional<std::vector<std::string>> entrypoint;
    std::optional<std::vector<std::string>> cmd;
    std::optional<HealthConfig> healthcheck;
    bool args_escaped = false;
    std::map<std::string, EmptyObject> volumes;
    std::string working_dir;
    std::vector<std::string> on_build;
    std::map<std::string, std::string> labels;
    std::string stop_signal;
    std::optional<std::int64_t> stop_timeout;  ///< seconds
    std::vector<std::string> shell;

    static constexpr void fields(auto visit) {
        visit(omit_empty("Hostname", &ImageConfig::hostname),
              omit_empty("Domainname", &ImageConfig::domainname),
              omit_empty("User", &ImageConfig::user),
              omit_empty("ExposedPorts", &ImageConfig::exposed_ports),
              omit_empty("Env", &ImageConfig::env),
              omit_empty("Entrypoint", &ImageConfig::entrypoint),
              omit_empty("Cmd", &ImageConfig::cmd),
              omit_empty("Healthcheck", &ImageConfig::healthcheck),
              omit_empty("ArgsEscaped", &ImageConfig::args_escaped),
              omit_empty("Volumes", &ImageConfig::volumes),
              omit_empty("WorkingDir", &ImageConfig::working_dir),
              omit_empty("OnBuild", &ImageConfig::on_build),
              omit_empty("Labels", &ImageConfig::labels),
              omit_empty("StopSignal", &ImageConfig::stop_signal),
              omit_empty("StopTimeout", &ImageConfig::stop_timeout),
              omit_empty("Shell", &ImageConfig::shell));
    }
};

struct RootFs {
    std::string type = "layers";
    std::vector<std::string> diff_ids;

    static constexpr void fields(auto visit) {
        visit(field("type", &RootFs::type), field("diff_ids", &RootFs::diff_ids));
    }
};

struct History {
    std::string created;
    std::string created_by;
    std::string author;
    std::string comment;
    bool empty_layer = false;

    static constexpr void fields(auto visit) {
        visit(omit_empty("created", &History::created),
              omit_empty("created_by", &History::created_by),
              omit_empty("author", &History::author), omit_empty("comment", &History::comment),
              omit_empty("empty_layer", &History::empty_layer));
    }
};

/// The image configuration document. Its digest is the image's id. The last members are docker's.
struct Image {
    std::string created;
    std::string author;
    std::string architecture;
    std::string variant;
    std::string os;
    std::string os_version;
    std::vector<std::string> os_features;
    std::optional<ImageConfig> config;
    RootFs rootfs;
    std::vector<History> history;
    std::string docker_version;
    std::string container;
    std::string parent;
    std::string comment;

    static constexpr void fields(auto visit) {
        visit(omit_empty("created", &Image::created), omit_empty("author", &Image::author),
              field("architecture", &Image::architecture), omit_empty("variant", &Image::variant),
              field("os", &Image::os), omit_empty("os.version", &Image::os_version),
              omit_empty("os.features", &Image::os_features), omit_empty("config", &Image::config),
              field("rootfs", &Image::rootfs), omit_empty("history", &Image::history),
              omit_empty("docker_version", &Image::docker_version),
              omit_empty("container", &Image::container), omit_empty("parent", &Image::parent),
              omit_empty("comment", &Image::comment));
    }
};

/// Checks the diff ids and the counts as well; `layers` is the manifest's count, when there is one.
Result<Image> parse_image(std::string_view bytes, std::optional<std::size_t> layers = {});

enum class Compression { none, gzip, zstd };

/// How a layer of this media type is packed; foreign (non-distributable) layers as their plain
/// form. An error for what is no file system layer.
Result<Compression> layer_compression(std::string_view media_type);
/// Layers that registries do not hold: their bytes come from the descriptor's urls.
bool is_foreign_layer(std::string_view media_type);
bool is_index(std::string_view media_type);
bool is_manifest(std::string_view media_type);
/// Whether an entry of an index is no image but says something about another entry: buildkit's
/// provenance and the like.
bool is_attestation(const Descriptor& entry);

/// The entry of `index` that runs best on `wanted`: exact variant first, then older variants of the
/// same architecture, as containerd orders them. Entries that are attestations never match.
/// not_found, in docker's words, when there is none.
Result<Descriptor> choose_platform(const Index& index, const Platform& wanted);

}  // namespace corten::oci
