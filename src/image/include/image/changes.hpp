#pragma once
// `--change` of import and commit: single Dockerfile instructions that alter an image's config.
#include <oci/image_spec.hpp>

#include <string_view>
#include <vector>

namespace corten::image {

/// CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK NONE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME,
/// WORKDIR; others are an error of kind invalid in docker's words.
Result<void> apply_change(oci::ImageConfig& config, std::string_view instruction);
Result<void> apply_changes(oci::ImageConfig& config, const std::vector<std::string>& instructions);

}  // namespace corten::image
