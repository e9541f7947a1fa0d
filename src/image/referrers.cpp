#include "referrers.hpp"

#include <algorithm>

namespace corten::image {

namespace {

/// "sha256-…": a tag cannot hold the colon.
std::string referrers_tag(const std::string& subject) {
    std::string tag = subject;
    std::ranges::replace(tag, ':', '-');
    return tag;
}

Result<oci::Index> read_list(Session& session, const std::string& tag) {
    oci::Index list{.media_type = std::string(oci::media::oci_index)};
    const auto fetched = session.manifest(tag);
    if (!fetched && fetched.error().kind() == ErrorKind::not_found) return list;
    const auto document = TRY(fetched);
    auto parsed = TRY(oci::parse_manifest(document.bytes, document.content_type));
    if (auto* index = std::get_if<oci::Index>(&parsed)) return std::move(*index);
    return fail(ErrorKind::conflict, "the tag {} names no list of referrers, but an image", tag);
}

}  // namespace

Result<void> note_referrer(Session& session, const oci::Manifest& manifest,
                           const oci::Descriptor& pushed) {
    const std::string tag = referrers_tag(manifest.subject->digest);
    auto list = TRY(read_list(session, tag).context("referrers of " + manifest.subject->digest));
    if (std::ranges::find(list.manifests, pushed.digest, &oci::Descriptor::digest) !=
        list.manifests.end())
        return {};
    oci::Descriptor entry = pushed;
    entry.annotations = manifest.annotations;
    entry.artifact_type =
        manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
    list.manifests.push_back(std::move(entry));
    TRY(session.put_manifest(tag, list.media_type, dump_json(to_json(list)))
            .context("referrers of " + manifest.subject->digest));
    return {};
}

}  // namespace corten::image
