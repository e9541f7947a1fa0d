// docker's rules for removing images by name or id (quirks.md 14; the messages are what its
// clients show).
#include "garbage.hpp"

#include <base/ids.hpp>
#include <storage/images.hpp>
#include <storage/indexes.hpp>

#include <algorithm>
#include <set>

namespace corten::storage {

namespace {

std::string_view repository_of(std::string_view reference) {
    if (const auto at = reference.find('@'); at != std::string_view::npos)
        return reference.substr(0, at);
    const auto colon = reference.rfind(':');
    const auto slash = reference.rfind('/');
    const bool tagged =
        colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
    return tagged ? reference.substr(0, colon) : reference;
}

bool is_digest_reference(std::string_view reference) {
    return reference.find('@') != std::string_view::npos;
}

std::string_view familiar(std::string_view reference) {
    for (const std::string_view prefix : {"docker.io/library/", "docker.io/"})
        if (reference.starts_with(prefix)) return reference.substr(prefix.size());
    return reference;
}

std::string_view short_digest(std::string_view id) {
    return short_id(id.substr(id.find(':') + 1));
}

enum class Force { no, yes };

}  // namespace

/// One removal, inside its transaction.
struct ImageStore::Removal {
    ImageStore& store;
    const RemoveImageOptions& options;
    std::vector<RemovedItem> items;
    std::vector<Layer> layers;  // to be removed from the disk after the transaction

    std::vector<ImageUser> users(const std::string& id) const {
        return options.users ? options.users(id) : std::vector<ImageUser>();
    }

    Result<std::vector<std::string>> references(const std::string& id) {
        return store.db_.all<std::string>(
            "SELECT name FROM reference WHERE image = ? ORDER BY name", {id},
            [](const Row& row) { return row.text(0); });
    }

    /// At most one tag, and digests of that tag's repository only: one thing to the user.
    static bool is_single(const std::vector<std::string>& names) {
        std::set<std::string_view> repositories;
        std::size_t tags = 0;
        for (const std::string& name : names) {
            repositories.insert(repository_of(name));
            if (!is_digest_reference(name)) ++tags;
        }
        return tags <= 1 && repositories.size() <= 1;
    }

    Result<void> untag(const std::string& name) {
        TRY(store.db_.execute("DELETE FROM reference WHERE name = ?", {name}));
        items.push_back({true, name});
        return {};
    }

    static Error conflict(const std::string& id, Force force, std::string_view reason) {
        return fail(ErrorKind::conflict, "conflict: unable to delete {} ({}) - {}",
                    short_digest(id), force == Force::no ? "cannot be forced" : "must be forced",
                    reason);
    }

    /// What speaks against deleting the image. `soft` conflicts give way to force.
    Result<std::optional<Error>> hard_conflict(const std::string& id) {
        if (!TRY(store.children(id)).empty())
            return std::optional(conflict(id, Force::no, "image has dependent child images"));
        for (const ImageUser& user : users(id))
            if (user.running)
                return std::optional(
                    conflict(id, Force::no,
                             fmt::format("image is being used by running container {}",
                                         short_id(user.container_id))));
        return std::optional<Error>();
    }
    std::optional<Error> stopped_user_conflict(const std::string& id) const {
        const auto list = users(id);
        const auto stopped = std::ranges::find(list, false, &ImageUser::running);
        if (stopped == list.end()) return std::nullopt;
        return conflict(id, Force::yes,
                        fmt::format("image is being used by stopped container {}",
                                    short_id(stopped->container_id)));
    }

    /// Of any platform's image that a reference stands for.
    Result<std::optional<Error>> platform_user_conflict(const std::string& id,
                                                        const std::string& reference) {
        std::vector<std::string> ids{id};
        if (const auto index = TRY(IndexStore(store.db_).of(reference)))
            for (const IndexedImage& image : index->images) ids.push_back(image.image_id);
        for (const std::string& used : ids)
            if (const auto list = users(used); !list.empty())
                return std::optional<Error>(fail(
                    ErrorKind::conflict,
                    "conflict: unable to remove repository reference \"{}\" (must force) "
                    "- container {} is using its referenced image {}",
                    familiar(reference), short_id(list.front().container_id), short_digest(used)));
        return std::optional<Error>();
    }

    Result<void> by_reference(const std::string& id, const std::string& reference) {
        auto names = TRY(references(id));
        if (!options.force && is_single(names))
            if (auto found = TRY(platform_user_conflict(id, reference))) return std::move(*found);
        TRY(untag(reference));
        TRY(untag_orphaned_digests(id, reference));
        if (!TRY(references(id)).empty() || TRY(is_in_named_index(id))) return {};
        // The name is gone as asked; an image that cannot follow stays without a name.
        auto deleted = delete_image(id, options.force ? Force::yes : Force::no);
        if (!deleted && deleted.error().kind() == ErrorKind::conflict) return {};
        return deleted;
    }

    /// Digests that came with the tag go with the last tag of their repository.
    Result<void> untag_orphaned_digests(const std::string& id, const std::string& removed) {
        if (is_digest_reference(removed)) return {};
        const auto names = TRY(references(id));
        if (!std::ranges::all_of(names, [&](const std::string& name) {
                return is_digest_reference(name) || repository_of(name) != repository_of(removed);
            }))
            return {};
        for (const std::string& name : names)
            if (repository_of(name) == repository_of(removed)) TRY(untag(name));
        return {};
    }

    /// Those of the index's images that are to go; the others stay under its names.
    Result<void> from_index(const std::string& digest) {
        IndexStore indexes(store.db_);
        std::vector<std::string> gone, kept;
        for (const IndexedImage& image : TRY(indexes.find(digest)).value_or(ImageIndex{}).images)
            (std::ranges::count(options.only, image.image_id) > 0 ? gone : kept)
                .push_back(image.image_id);
        if (kept.empty())
            for (const std::string& name : TRY(indexes.references(digest))) TRY(untag(name));
        for (const std::string& id : gone) {
            TRY(indexes.take_out(digest, id, kept.empty() ? id : kept.front()));
            if (!TRY(is_held(id))) TRY(delete_image(id, options.force ? Force::yes : Force::no));
        }
        return {};
    }

    Result<void> by_id(const std::string& id) {
        const auto names = TRY(references(id));
        if (is_single(names)) {
            if (auto found = TRY(hard_conflict(id))) return std::move(*found);
            if (!options.force)
                if (auto found = stopped_user_conflict(id)) return std::move(*found);
            for (const std::string& name : names) TRY(untag(name));
        }
        return delete_image(id, options.force ? Force::yes : Force::no);
    }

    Result<void> delete_image(const std::string& id, Force force) {
        if (auto found = TRY(hard_conflict(id))) return std::move(*found);
        const auto names = TRY(references(id));
        if (force == Force::no) {
            if (!names.empty())
                return conflict(id, Force::yes, "image is referenced in multiple repositories");
            if (auto found = stopped_user_conflict(id)) return std::move(*found);
        }
        const Image image = TRY(store.get(id));
        for (const std::string& name : names) TRY(untag(name));
        TRY(store.db_.execute("DELETE FROM image WHERE id = ?", {id}));
        items.push_back({false, id});
        for (Layer& layer : TRY(release_chain(store.db_, store.layers_, image.chain_id))) {
            items.push_back({false, layer.chain_id});
            layers.push_back(std::move(layer));
        }
        if (!options.prune_parents || image.parent.empty()) return {};
        return delete_if_unused(image.parent);
    }

    /// Images of other platforms that only a name which is gone now has held.
    Result<void> release_indexes() {
        for (const std::string& id : TRY(IndexStore(store.db_).release()))
            if (!TRY(is_held(id))) TRY(delete_if_unused(id));
        return {};
    }

    /// Whether a name that means another platform's image stands for this one, too.
    Result<bool> is_in_named_index(const std::string& id) {
        return TRY(store.db_.integer("SELECT EXISTS(SELECT 1 FROM index_image JOIN reference "
                                     "ON image_index = index_digest WHERE index_image.image = ?)",
                                     {id})) != 0;
    }

    Result<bool> is_held(const std::string& id) {
        return TRY(store.db_.integer("SELECT EXISTS(SELECT 1 FROM reference WHERE image = ?1) OR "
                                     "EXISTS(SELECT 1 FROM index_image WHERE image = ?1)",
                                     {id})) != 0;
    }

    /// A parent or another platform's image that nobody names or uses goes too; one that somebody
    /// does just stays.
    Result<void> delete_if_unused(const std::string& id) {
        auto deleted = delete_image(id, Force::no);
        const auto kind = deleted ? ErrorKind::conflict : deleted.error().kind();
        if (kind == ErrorKind::conflict || kind == ErrorKind::not_found) return {};
        return deleted;
    }
};

Result<std::vector<RemovedItem>> ImageStore::remove(const ImageName& name,
                                                    const RemoveImageOptions& options) {
    Transaction change = TRY(db_.begin());
    const FoundImage found = TRY(resolve(name));
    Removal removal{*this, options, {}, {}};
    if (!options.only.empty() && !found.index.empty())
        TRY(removal.from_index(found.index));
    else if (found.by_reference)
        TRY(removal.by_reference(found.id, name.reference));
    else
        TRY(removal.by_id(found.id));
    TRY(removal.release_indexes());
    TRY(change.commit());
    for (const Layer& layer : removal.layers) TRY(driver_.remove(layer.cache_id));
    return std::move(removal.items);
}

Result<void> ImageStore::drop(const std::string& id) {
    auto change = TRY(db_.begin());
    TRY(db_.execute("DELETE FROM reference WHERE image = ?", {id}));
    TRY(db_.execute("DELETE FROM image WHERE id = ?", {id}));
    TRY(IndexStore(db_).release());
    return change.commit();
}

Result<bool> ImageStore::drop_above(const std::string& chain_id) {
    constexpr std::string_view above =
        "WITH RECURSIVE above(id) AS (VALUES(?) UNION "
        "SELECT layer.chain_id FROM above JOIN layer ON layer.parent = above.id) ";
    const auto with_above = [&](std::string_view statement) {
        return fmt::format("{}{}", above, statement);
    };
    auto change = TRY(db_.begin());
    const auto used = "SELECT count(*) FROM snapshot WHERE parent IN (SELECT id FROM above)";
    if (TRY(db_.integer(with_above(used), {chain_id})) > 0) return false;
    for (const std::string& image : TRY(db_.all<std::string>(
             with_above("SELECT id FROM image WHERE chain_id IN (SELECT id FROM above)"),
             {chain_id}, [](const Row& row) { return row.text(0); })))
        TRY(drop(image));
    TRY(db_.execute(with_above("DELETE FROM lease_layer WHERE chain_id IN (SELECT id FROM above)"),
                    {chain_id}));
    TRY(change.commit());
    TRY(collect_garbage());
    return true;
}

}  // namespace corten::storage
