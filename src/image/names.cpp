#include "names.hpp"

#include <base/text.hpp>

#include <algorithm>

namespace corten::image {

void merge(std::vector<NamedImage>& all, NamedImage named) {
    for (auto& known : all) {
        if (known.id != named.id || known.index != named.index) continue;
        for (auto& reference : named.references)
            if (std::ranges::find(known.references, reference) == known.references.end())
                known.references.push_back(std::move(reference));
        return;
    }
    all.push_back(std::move(named));
}

namespace {

Result<std::vector<NamedImage>> all_tags(storage::Store& store, const Reference& repository) {
    std::vector<NamedImage> found;
    const std::string prefix = repository.name() + ":";
    for (const auto& image : TRY(store.images().list()))
        for (const auto& tag : image.tags)
            if (tag.starts_with(prefix)) {
                const auto at = TRY(store.images().resolve({.reference = tag}));
                merge(found,
                      {.id = at.id, .index = at.index, .references = {TRY(Reference::parse(tag))}});
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
    NamedImage named{.id = found.id, .index = found.index, .references = {}};
    if (found.by_reference && reference) named.references.push_back(reference->with_default_tag());
    return std::vector{std::move(named)};
}

}  // namespace corten::image
