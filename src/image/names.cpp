#include "names.hpp"

#include <base/text.hpp>

namespace corten::image {

namespace {

Result<std::vector<NamedImage>> all_tags(storage::Store& store, const Reference& repository) {
    std::vector<NamedImage> found;
    const std::string prefix = repository.name() + ":";
    for (const auto& image : TRY(store.images().list())) {
        NamedImage named{.id = image.id, .references = {}};
        for (const auto& tag : image.tags)
            if (tag.starts_with(prefix)) named.references.push_back(TRY(Reference::parse(tag)));
        if (!named.references.empty()) found.push_back(std::move(named));
    }
    return found;
}

std::string id_prefix_of(std::string_view name) {
    if (name.starts_with("sha256:")) name.remove_prefix(7);
    return !name.empty() && name.size() <= 64 && is_lower_hex(name) ? std::string(name)
                                                                    : std::string();
}

}  // namespace

Result<std::vector<NamedImage>> find_images(storage::Store& store, const std::string& name) {
    const auto reference = Reference::parse(name);
    if (reference && reference->tag.empty() && reference->digest.empty()) {
        auto found = TRY(all_tags(store, *reference));
        if (!found.empty()) return found;
    }
    const auto found = TRY(store.images().resolve(
        {.reference = reference ? reference->with_default_tag().canonical() : std::string(),
         .id_prefix = id_prefix_of(name),
         .display = name}));
    NamedImage named{.id = found.id, .references = {}};
    if (found.by_reference && reference) named.references.push_back(reference->with_default_tag());
    return std::vector{std::move(named)};
}

}  // namespace corten::image
