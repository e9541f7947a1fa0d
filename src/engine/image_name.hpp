#pragma once
#include <storage/images.hpp>

#include <string_view>

namespace corten::engine {

/// How a user names an image: a reference, an id or a prefix of one. Errors as docker's: invalid
/// "invalid reference format".
Result<storage::ImageName> parse_image_name(std::string_view text);

/// The canonical reference that an image is to be tagged as; an empty tag is that of `repository`,
/// or "latest". invalid for a bad name or tag and for a digest.
Result<std::string> canonical_tag(std::string_view repository, const std::string& tag);

/// "docker.io/library/debian:12" -> "debian:12", digests likewise.
std::string familiar_reference(std::string_view canonical);

}  // namespace corten::engine
