#include "unpack.hpp"

#include "directory_target.hpp"
#include "tree.hpp"

namespace corten::storage {

namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_marker = ".wh..wh..opq";
constexpr std::string_view aufs_prefix = ".wh..wh.";
// A kernel path has 4,096 bytes; twice the depth that a tool could still walk into is generous.
constexpr std::size_t name_limit = 64 << 10;

using Found = UnpackTarget::Found;
using Missing = UnpackTarget::Missing;

class Unpacker {
public:
    Unpacker(UnpackTarget& target, TarReader& tar, const UnpackPolicy& policy)
        : target_(target), tar_(tar), policy_(policy) {
        target_.made = [this] { return count_entry(); };
    }

    Result<UnpackResult> run() {
        for (;;) {
            const TarEntry* entry = TRY(tar_.next());
            if (!entry) break;
            TRY(count_entry());
            TRY(one(*entry).context(entry->name.substr(0, 200)));
        }
        TRY(tar_.drain());
        TRY(target_.finish());
        return result_;
    }

private:
    Result<void> count_entry() {
        ++result_.entries;
        if (policy_.limits.entries && result_.entries > policy_.limits.entries)
            return fail(ErrorKind::invalid, "the archive has more than {} entries",
                        policy_.limits.entries);
        return {};
    }

    Result<void> one(const TarEntry& entry) {
        if (entry.name.size() > name_limit)
            return fail(ErrorKind::corrupt, "a name is longer than {} bytes", name_limit);
        auto clean = clean_path(entry.name);
        if (!clean) return fail(ErrorKind::corrupt, "the name leads out of the archive's root");
        path_ = std::move(*clean);
        if (path_.empty()) return root_entry(entry);
        const auto [above, leaf] = split_leaf(path_);
        leaf_ = leaf;
        if (policy_.whiteouts == Whiteouts::overlay && leaf.starts_with(whiteout_prefix))
            return whiteout(above, leaf);
        TRY(target_.enter(above, Missing::create));
        if (above != above_) place_.reset();
        above_ = above;
        return create(entry);
    }

    /// The entry's path without symlinks: what the record says of it stays true when one is
    /// replaced, or when the next entry comes by another way.
    Result<std::string> real_path() {
        if (!place_) place_ = TRY(target_.place());
        return place_->empty() ? leaf_ : fmt::format("{}/{}", *place_, leaf_);
    }

    Result<void> create(const TarEntry& entry) {
        switch (entry.type) {
            case EntryType::file:
                return file(entry);
            case EntryType::directory:
                return directory(entry);
            case EntryType::hard_link:
                return hard_link(entry);
            case EntryType::symlink:
                return symlink(entry);
            case EntryType::character_device:
            case EntryType::block_device:
            case EntryType::fifo:
                return make([&] { return target_.make_special(leaf_, entry); });
        }
        return fail(ErrorKind::internal, "unknown entry type");
    }

    // --- what is in the way ---------------------------------------------------------------------

    /// Runs `attempt` (false: the name is taken); makes room and runs it again when it must.
    template <typename F>
    Result<void> make(F&& attempt) {
        if (TRY(attempt())) return {};
        TRY(clear_way());
        if (TRY(attempt())) return {};
        return fail(ErrorKind::conflict, "somebody else made \"/{}\" meanwhile", path_);
    }

    /// Removes what has the name, for something that is no directory.
    Result<void> clear_way() {
        const Found found = TRY(target_.find(leaf_));
        if (found == Found::nothing) return {};
        if (found == Found::directory && policy_.no_overwrite_dir_non_dir)
            return fail(ErrorKind::invalid, "cannot overwrite directory \"/{}\" with non-directory",
                        path_);
        return discard(found);
    }

    /// What the record still needs is set aside.
    Result<void> discard(Found found) {
        if (!policy_.record) return target_.remove(leaf_, found);
        const std::string path = TRY(real_path());
        place_.reset();  // what goes may be part of the way
        if (found != Found::file && found != Found::directory) return target_.remove(leaf_, found);
        TRY(target_.set_aside(leaf_, found, replaced_));
        return policy_.record->replaced(path, replaced_++);
    }

    // --- entries --------------------------------------------------------------------------------

    Result<void> file(const TarEntry& entry) {
        TRY(make([&] { return target_.make_file(leaf_, entry); }));
        TRY(write_content(entry));
        return target_.end_file(entry);
    }

    Result<void> write_content(const TarEntry& entry) {
        const std::uint64_t stored = tar_.remaining();
        result_.bytes += entry.size;
        written_ += stored;
        if (policy_.limits.bytes && written_ > policy_.limits.bytes)
            return fail(ErrorKind::invalid, "the archive's files take more than {} bytes",
                        policy_.limits.bytes);
        if (policy_.record && stored > 0) TRY(record_payload(entry));
        if (entry.extents) return write_sparse(entry);
        for (std::uint64_t offset = 0;;) {
            const std::string_view bytes = TRY(tar_.data());
            if (bytes.empty()) return {};
            TRY(target_.write(offset, bytes));
            offset += bytes.size();
        }
    }

    Result<void> record_payload(const TarEntry& entry) {
        const std::string path = TRY(real_path());
        if (entry.extents) return policy_.record->payload(path, *entry.extents);
        return policy_.record->payload(path, {{0, entry.size}});
    }

    Result<void> write_sparse(const TarEntry& entry) {
        for (const Extent& extent : *entry.extents) TRY(write_extent(extent));
        return {};
    }

    /// A piece of data() may span extents, so what is left over waits in `piece_`.
    Result<void> write_extent(Extent extent) {
        while (extent.length > 0) {
            if (piece_.empty()) piece_ = TRY(tar_.data());
            const std::string_view part = piece_.substr(0, extent.length);
            if (part.empty()) return fail(ErrorKind::corrupt, "sparse content stops early");
            TRY(target_.write(extent.offset, part));
            piece_.remove_prefix(part.size());
            extent.offset += part.size();
            extent.length -= part.size();
        }
        return {};
    }

    Result<void> directory(const TarEntry& entry) {
        bool was_whiteout = false;
        if (!TRY(target_.make_directory(leaf_, entry)))
            was_whiteout = TRY(make_directory_over(entry));
        if (was_whiteout) TRY(target_.make_opaque(leaf_));
        return target_.set_directory(leaf_, entry);
    }

    /// The name is taken; true when it was by a whiteout, so that the directory must be opaque.
    Result<bool> make_directory_over(const TarEntry& entry) {
        const Found found = TRY(target_.find(leaf_));
        if (found == Found::directory) return false;
        if (found != Found::nothing && policy_.no_overwrite_dir_non_dir)
            return fail(ErrorKind::invalid, "cannot overwrite non-directory \"/{}\" with directory",
                        path_);
        if (found != Found::nothing) TRY(discard(found));
        if (!TRY(target_.make_directory(leaf_, entry)))
            return fail(ErrorKind::conflict, "somebody else made \"/{}\" meanwhile", path_);
        return found == Found::whiteout && policy_.whiteouts == Whiteouts::overlay;
    }

    Result<void> root_entry(const TarEntry& entry) {
        if (entry.type != EntryType::directory)
            return fail(ErrorKind::corrupt, "the archive's root is no directory");
        return target_.set_root(entry);
    }

    Result<void> symlink(const TarEntry& entry) {
        if (entry.link.empty()) return fail(ErrorKind::corrupt, "symlink without a target");
        return make([&] { return target_.make_symlink(leaf_, entry); });
    }

    Result<void> hard_link(const TarEntry& entry) {
        const auto target = clean_path(entry.link);
        if (!target || target->empty())
            return fail(ErrorKind::corrupt, "hard link to \"{}\", which is not in the archive",
                        entry.link);
        return make([&] { return target_.make_hard_link(leaf_, *target); });
    }

    Result<void> whiteout(std::string_view above, std::string_view leaf) {
        // Hard link pool and other marks of aufs: no part of the file system.
        if (leaf.starts_with(aufs_prefix) && leaf != opaque_marker) return {};
        TRY(target_.enter(above, Missing::create));
        if (leaf == opaque_marker) return target_.make_opaque("");
        const std::string name(leaf.substr(whiteout_prefix.size()));
        if (name.empty() || name == "." || name == "..")
            return fail(ErrorKind::corrupt, "a whiteout without a name");
        if (TRY(target_.make_whiteout(name))) return {};
        // A whiteout is about the layers below; what this layer brings itself stays.
        if (TRY(target_.find(name)) == Found::directory) return target_.make_opaque(name);
        return {};
    }

    UnpackTarget& target_;
    TarReader& tar_;
    const UnpackPolicy& policy_;
    UnpackResult result_;
    std::uint64_t written_ = 0;
    std::uint64_t replaced_ = 0;
    // The entry at hand.
    std::string path_;
    std::string leaf_;
    std::string_view piece_;
    std::string above_;                 ///< the directory that was entered for it
    std::optional<std::string> place_;  ///< where that really is, once it is asked for
};

}  // namespace

Result<UnpackResult> unpack_into(UnpackTarget& target, TarReader& tar, const UnpackPolicy& policy) {
    return Unpacker(target, tar, policy).run();
}

Result<UnpackResult> unpack_tree(FdView root, TarReader& tar, const UnpackPolicy& policy) {
    DirectoryTarget target(root, policy);
    return unpack_into(target, tar, policy);
}

}  // namespace corten::storage
