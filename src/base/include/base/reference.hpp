#pragma once
// Names of images, in the grammar of github.com/distribution/reference as docker uses it:
// [domain/]path[:tag][@digest]. "ubuntu" is short for docker.io/library/ubuntu. No I/O.
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten {

inline constexpr std::string_view default_domain = "docker.io";
inline constexpr std::string_view default_tag = "latest";

struct Reference {
    std::string domain;  ///< "docker.io", "localhost:5000", "[::1]:5000"
    std::string path;    ///< "library/ubuntu"
    std::string tag;     ///< empty when none was given
    std::string digest;  ///< "sha256:…" or empty

    /// Errors are docker's sentences ("invalid reference format …"), of kind invalid.
    static Result<Reference> parse(std::string_view text);

    /// "docker.io/library/ubuntu"
    std::string name() const;
    /// "ubuntu": what users see and may type.
    std::string familiar_name() const;
    /// The name with tag and digest, as far as there are any.
    std::string canonical() const;
    std::string familiar() const;
    /// The same with `latest` when there is neither a tag nor a digest.
    Reference with_default_tag() const;
    /// What a registry is asked for: the digest if there is one, else the tag.
    const std::string& target() const { return digest.empty() ? tag : digest; }

    bool operator==(const Reference&) const = default;
};

bool is_valid_tag(std::string_view tag);

/// Whether what stands before the first slash of a name is a registry: "localhost", or something
/// with a dot, a port or a capital letter.
bool looks_like_domain(std::string_view text);

}  // namespace corten
