#include "image_name.hpp"

#include <base/text.hpp>
#include <image/reference.hpp>

namespace corten::engine {

namespace {

bool could_be_id(std::string_view text) {
    return !text.empty() && text.size() <= 64 && is_lower_hex(text);
}

}  // namespace

Result<storage::ImageName> parse_image_name(std::string_view text) {
    storage::ImageName name;
    name.display = text;
    constexpr std::string_view algorithm = "sha256:";
    const std::string_view digits =
        text.starts_with(algorithm) ? text.substr(algorithm.size()) : text;
    if (could_be_id(digits)) name.id_prefix = digits;
    if (text.starts_with(algorithm) && !name.id_prefix.empty()) return name;
    const auto reference = image::Reference::parse(text);
    if (reference) {
        const auto full = reference->with_default_tag();
        name.reference = full.canonical();
        name.display = full.familiar();
    } else if (name.id_prefix.empty()) {
        return reference.error();
    }
    return name;
}

Result<std::string> canonical_tag(std::string_view repository, const std::string& tag) {
    auto target = TRY(image::Reference::parse(repository));
    if (!target.digest.empty())
        return fail(ErrorKind::invalid, "refusing to create a tag with a digest reference");
    if (!tag.empty()) {
        if (!image::is_valid_tag(tag)) return fail(ErrorKind::invalid, "invalid tag format");
        target.tag = tag;
    }
    return target.with_default_tag().canonical();
}

std::string familiar_reference(std::string_view canonical) {
    const auto reference = image::Reference::parse(canonical);
    return reference ? reference->familiar() : std::string(canonical);
}

}  // namespace corten::engine
