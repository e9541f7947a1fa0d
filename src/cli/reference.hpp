#pragma once
// Image names as users write them. Grammar: https://github.com/distribution/reference
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten::cli {

struct ImageName {
    std::string domain;  ///< "docker.io" when none was given
    std::string path;    ///< "library/busybox"
    std::string tag;     ///< "latest" when neither tag nor digest was given
    std::string digest;

    /// "docker.io/library/busybox"
    std::string repository() const { return domain + "/" + path; }
    /// "busybox": without what everybody leaves out.
    std::string familiar_repository() const;
    /// "busybox:latest"
    std::string familiar() const;
};

/// Whether what stands before the first slash of a name is a registry.
bool looks_like_domain(std::string_view part);

/// Errors are ErrorKind::invalid, "invalid reference format: ...".
Result<ImageName> parse_image_name(std::string_view text);

}  // namespace corten::cli
