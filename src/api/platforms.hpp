#pragma once
// The query parameter `platform`: a platform of the image specification as JSON; a removal calls it
// `platforms`. pull, create and import have it as text instead.
#include "call.hpp"

#include <oci/image_spec.hpp>

namespace corten::api {

/// Every one that is given; none before the version that brought the parameter to the route.
/// `invalid` for what is no platform.
Result<std::vector<oci::Platform>> asked_platforms(const Call& call, ApiVersion since,
                                                   std::string_view parameter = "platform");
/// The only one; `invalid` when there are several.
Result<std::optional<oci::Platform>> asked_platform(const Call& call, ApiVersion since);

}  // namespace corten::api
