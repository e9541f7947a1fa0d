#pragma once
// Registries without the referrers API (distribution spec, "Pushing Manifests with Subject"): the
// client keeps the list of what refers to a manifest, in an index under a tag made of its digest.
#include "session.hpp"

#include <oci/image_spec.hpp>

namespace corten::image {

/// Adds `manifest`, pushed as `pushed`, to the list of its subject, unless it is in there. Two
/// clients that do so at once may lose one entry: the protocol has no way to exclude it.
Result<void> note_referrer(Session& session, const oci::Manifest& manifest,
                           const oci::Descriptor& pushed);

}  // namespace corten::image
