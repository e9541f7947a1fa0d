#pragma once
// Which image a name means on which platform.
#include <oci/image_spec.hpp>
#include <storage/store.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace corten::image {

/// The platform that a configuration says.
oci::Platform platform_of(const oci::Image& document);
Result<oci::Platform> platform_of(const storage::Image& image);

/// Whether what was made for `has` is what somebody who asks for `wanted` means. No lesser variant
/// and no 32-bit program stands in; a platform without a variant means any.
bool provides(const oci::Platform& has, const oci::Platform& wanted);

/// The images that a found name stands for: those of its index that are here, or the one. The one
/// that is meant when no platform is said comes first.
Result<std::vector<storage::Image>> platform_images(storage::Store& store,
                                                    const storage::FoundImage& found);

/// One of them: for `wanted`, or that which is meant when no platform is said. not_found in
/// docker's words when there is none; `name` is what the user typed.
Result<storage::Image> image_for(storage::Store& store, const storage::FoundImage& found,
                                 std::string_view name, const std::optional<oci::Platform>& wanted);

/// A stored index as a document.
Result<oci::Index> parse_index(const storage::ImageIndex& index);

}  // namespace corten::image
