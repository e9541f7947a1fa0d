#include "unpack.hpp"

#include <sys/file.hpp>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace corten::storage {

namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_marker = ".wh..wh..opq";
constexpr std::string_view aufs_prefix = ".wh..wh.";
// A kernel path has 4,096 bytes; twice the depth that a tool could still walk into is generous.
constexpr std::size_t name_limit = 64 << 10;

using Missing = DirectoryCache::Missing;

class Unpacker {
public:
    Unpacker(FdView root, TarReader& tar, const UnpackPolicy& policy)
        : root_(root), tar_(tar), policy_(policy), directories_(root) {
        directories_.replace = [this](FdView parent, const std::string& leaf) {
            return replace_by_directory(parent, leaf);
        };
        directories_.made = [this] { return count_entry(); };
    }

    Result<UnpackResult> run() {
        for (;;) {
            const TarEntry* entry = TRY(tar_.next());
            if (!entry) break;
            TRY(count_entry());
            TRY(one(*entry).context(entry->name.substr(0, 200)));
        }
        TRY(tar_.drain());
        TRY(set_directory_times());
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
        parent_ = TRY(directories_.open(above, Missing::create));
        return create(entry);
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
                return special(entry);
        }
        return fail(ErrorKind::internal, "unknown entry type");
    }

    // --- what is in the way ---------------------------------------------------------------------

    /// Runs `attempt` (0 or -1 with errno); makes room and runs it again when the name is taken.
    template <typename F>
    Result<void> make(F&& attempt, std::string_view doing) {
        if (attempt() >= 0) return {};
        if (errno != EEXIST) return fail_errno("{}", doing);
        TRY(clear_way(parent_, leaf_));
        if (attempt() < 0) return fail_errno("{}", doing);
        return {};
    }

    /// Removes what has the name, for something that is no directory.
    Result<void> clear_way(FdView parent, const std::string& leaf) {
        const auto found = TRY(stat_at(parent, leaf));
        if (!found) return {};
        if (S_ISDIR(found->st_mode) && policy_.no_overwrite_dir_non_dir)
            return fail(ErrorKind::invalid, "cannot overwrite directory \"/{}\" with non-directory",
                        path_);
        return discard(parent, leaf, found->st_mode);
    }

    Result<void> discard(FdView parent, const std::string& leaf, mode_t mode) {
        // Paths that went through it lead elsewhere from now on. (`parent` may be in the cache.)
        const bool leads_on = S_ISDIR(mode) || S_ISLNK(mode);
        if (policy_.record && (S_ISREG(mode) || S_ISDIR(mode)))
            TRY(keep_replaced(parent, leaf));
        else
            TRY(remove_at(parent, leaf));
        if (!leads_on) return {};
        directories_.clear();
        parent_ = TRY(directories_.open(split_leaf(path_).first, Missing::create));
        return {};
    }

    /// The record still needs its content.
    Result<void> keep_replaced(FdView parent, const std::string& leaf) {
        if (!replaced_directory_) {
            if (::mkdirat(policy_.record_directory.raw(), "replaced", 0700) < 0 && errno != EEXIST)
                return fail_errno("make directory for replaced entries");
            replaced_directory_ = TRY(sys::open_at(policy_.record_directory, "replaced",
                                                   O_PATH | O_DIRECTORY | O_NOFOLLOW));
        }
        const std::string target = fmt::format("{}", replaced_);
        if (::renameat(parent.raw(), leaf.c_str(), replaced_directory_.raw(), target.c_str()) < 0)
            return fail_errno("set aside {}", leaf);
        return policy_.record->replaced(path_, replaced_++);
    }

    /// A parent that is missing has its name taken. Only a whiteout that came earlier gives way, to
    /// a directory that hides what is below it.
    Result<void> replace_by_directory(FdView parent, const std::string& leaf) {
        const auto found = TRY(stat_at(parent, leaf));
        if (!found || policy_.whiteouts != Whiteouts::overlay || !is_whiteout(*found)) return {};
        TRY(remove_at(parent, leaf));
        if (::mkdirat(parent.raw(), leaf.c_str(), 0755) < 0)
            return fail_errno("make directory {}", leaf);
        return make_opaque(parent, leaf);
    }

    // --- metadata -------------------------------------------------------------------------------

    Owner owner_of(const TarEntry& entry) const {
        return policy_.owner.value_or(Owner{entry.uid, entry.gid});
    }

    /// Owner, then xattrs, then mode: chown clears file capabilities and setuid bits.
    /// `path` names the same object, for calls that take no such descriptor.
    Result<void> set_metadata(FdView fd, const std::string& path, const TarEntry& entry) {
        struct ::stat info{};
        if (::fstat(fd.raw(), &info) < 0) return fail_errno("stat");
        const Owner owner = owner_of(entry);
        const bool chown = info.st_uid != owner.uid || info.st_gid != owner.gid;
        if (chown && ::fchownat(fd.raw(), "", owner.uid, owner.gid, AT_EMPTY_PATH) < 0)
            return fail_errno("change owner to {}:{}", owner.uid, owner.gid);
        TRY(set_xattrs(&::setxattr, path, entry));
        // A changed owner or an xattr (an ACL) can have changed the mode.
        const bool chmod = chown || !entry.xattrs.empty() || (info.st_mode & 07777) != entry.mode;
        if (chmod && ::chmod(path.c_str(), entry.mode) < 0)
            return fail_errno("change mode to {:o}", entry.mode);
        return {};
    }

    /// `set` is setxattr(2), or lsetxattr(2) where `path` ends in a symlink that is the object.
    Result<void> set_xattrs(decltype(&::setxattr) set, const std::string& path,
                            const TarEntry& entry) {
        for (const auto& [name, value] : entry.xattrs) {
            // The layer's own marks are ours to set: an image could redirect a directory.
            if (name.starts_with("trusted.overlay.")) continue;
            if (set(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0) continue;
            // As docker: a file system without them, or user.* on what is no file or directory.
            if (errno == ENOTSUP || (errno == EPERM && name.starts_with("user."))) continue;
            return fail_errno("set {}", name);
        }
        return {};
    }

    static std::array<timespec, 2> times_of(const TarEntry& entry) {
        return {timespec{0, UTIME_OMIT}, entry.mtime};
    }

    // --- entries --------------------------------------------------------------------------------

    Result<void> file(const TarEntry& entry) {
        Fd fd;
        TRY(make(
            [&] {
                fd.reset(::openat(parent_.raw(), leaf_.c_str(),
                                  O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                                  entry.mode & 0777));
                return fd.raw();
            },
            "create file"));
        TRY(write_content(fd, entry));
        TRY(set_file_metadata(fd, entry));
        if (::futimens(fd.raw(), times_of(entry).data()) < 0) return fail_errno("set times");
        return {};
    }

    /// As set_metadata(), by descriptor: this is the path of nearly every entry.
    Result<void> set_file_metadata(FdView fd, const TarEntry& entry) {
        if (!entry.xattrs.empty()) return set_metadata(fd, fd_path(fd), entry);
        struct ::stat info{};
        if (::fstat(fd.raw(), &info) < 0) return fail_errno("stat");
        const Owner owner = owner_of(entry);
        if (info.st_uid != owner.uid || info.st_gid != owner.gid)
            if (::fchown(fd.raw(), owner.uid, owner.gid) < 0)
                return fail_errno("change owner to {}:{}", owner.uid, owner.gid);
        if ((info.st_mode & 07777) != entry.mode && ::fchmod(fd.raw(), entry.mode) < 0)
            return fail_errno("change mode to {:o}", entry.mode);
        return {};
    }

    Result<void> write_content(FdView fd, const TarEntry& entry) {
        const std::uint64_t stored = tar_.remaining();
        result_.bytes += entry.size;
        written_ += stored;
        if (policy_.limits.bytes && written_ > policy_.limits.bytes)
            return fail(ErrorKind::invalid, "the archive's files take more than {} bytes",
                        policy_.limits.bytes);
        if (policy_.record && stored > 0) TRY(record_payload(entry));
        if (entry.extents) return write_sparse(fd, entry);
        for (;;) {
            const std::string_view bytes = TRY(tar_.data());
            if (bytes.empty()) return {};
            TRY(sys::write_all(fd, bytes));
        }
    }

    Result<void> record_payload(const TarEntry& entry) {
        if (entry.extents) return policy_.record->payload(path_, *entry.extents);
        return policy_.record->payload(path_, {{0, entry.size}});
    }

    Result<void> write_sparse(FdView fd, const TarEntry& entry) {
        for (Extent extent : *entry.extents) {
            if (::lseek(fd.raw(), static_cast<off_t>(extent.offset), SEEK_SET) < 0)
                return fail_errno("seek to {}", extent.offset);
            TRY(write_extent(fd, extent.length));
        }
        if (::ftruncate(fd.raw(), static_cast<off_t>(entry.size)) < 0)
            return fail_errno("set the size to {}", entry.size);
        return {};
    }

    /// A piece of data() may span extents, so what is left over waits in `piece_`.
    Result<void> write_extent(FdView fd, std::uint64_t length) {
        while (length > 0) {
            if (piece_.empty()) piece_ = TRY(tar_.data());
            const std::string_view part = piece_.substr(0, length);
            if (part.empty()) return fail(ErrorKind::corrupt, "sparse content stops early");
            TRY(sys::write_all(fd, part));
            piece_.remove_prefix(part.size());
            length -= part.size();
        }
        return {};
    }

    Result<void> directory(const TarEntry& entry) {
        bool was_whiteout = false;
        if (::mkdirat(parent_.raw(), leaf_.c_str(), entry.mode & 0777) < 0) {
            if (errno != EEXIST) return fail_errno("make directory");
            was_whiteout = TRY(make_directory_over());
        }
        Fd fd = TRY(sys::open_at(parent_, leaf_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        if (was_whiteout) TRY(make_opaque(parent_, leaf_));
        TRY(set_metadata(fd, fd_path(fd), entry));
        directory_times_.push_back({path_, entry.mtime});
        directories_.add(path_, std::move(fd));
        return {};
    }

    /// The name is taken; true when it was by a whiteout, so that the directory must be opaque.
    Result<bool> make_directory_over() {
        const auto found = TRY(stat_at(parent_, leaf_));
        if (found && S_ISDIR(found->st_mode)) return false;
        if (found && policy_.no_overwrite_dir_non_dir)
            return fail(ErrorKind::invalid, "cannot overwrite non-directory \"/{}\" with directory",
                        path_);
        const bool whiteout =
            found && policy_.whiteouts == Whiteouts::overlay && is_whiteout(*found);
        if (found) TRY(discard(parent_, leaf_, found->st_mode));
        if (::mkdirat(parent_.raw(), leaf_.c_str(), 0755) < 0) return fail_errno("make directory");
        return whiteout;
    }

    Result<void> root_entry(const TarEntry& entry) {
        if (entry.type != EntryType::directory)
            return fail(ErrorKind::corrupt, "the archive's root is no directory");
        const Fd fd = TRY(sys::open_at(root_, ".", O_RDONLY | O_DIRECTORY));
        TRY(set_metadata(fd, fd_path(fd), entry));
        directory_times_.push_back({"", entry.mtime});
        return {};
    }

    Result<void> symlink(const TarEntry& entry) {
        if (entry.link.empty()) return fail(ErrorKind::corrupt, "symlink without a target");
        TRY(make([&] { return ::symlinkat(entry.link.c_str(), parent_.raw(), leaf_.c_str()); },
                 "make symlink"));
        const Owner owner = owner_of(entry);
        if (::fchownat(parent_.raw(), leaf_.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
            return fail_errno("change owner to {}:{}", owner.uid, owner.gid);
        if (!entry.xattrs.empty()) TRY(set_xattrs(&::lsetxattr, fd_path(parent_, leaf_), entry));
        return set_times(parent_, entry);
    }

    Result<void> special(const TarEntry& entry) {
        const mode_t type = entry.type == EntryType::fifo               ? S_IFIFO
                            : entry.type == EntryType::character_device ? S_IFCHR
                                                                        : S_IFBLK;
        const dev_t device = makedev(entry.device_major, entry.device_minor);
        TRY(make(
            [&] {
                return ::mknodat(parent_.raw(), leaf_.c_str(), type | (entry.mode & 0777),
                                 type == S_IFIFO ? 0 : device);
            },
            "make device"));
        // Never opened for real: a device would answer, a FIFO would block.
        const Fd fd = TRY(sys::open_at(parent_, leaf_, O_PATH | O_NOFOLLOW));
        TRY(set_metadata(fd, fd_path(fd), entry));
        return set_times(parent_, entry);
    }

    Result<void> set_times(FdView parent, const TarEntry& entry) {
        if (::utimensat(parent.raw(), leaf_.c_str(), times_of(entry).data(), AT_SYMLINK_NOFOLLOW) <
            0)
            return fail_errno("set times");
        return {};
    }

    Result<void> hard_link(const TarEntry& entry) {
        const auto target = clean_path(entry.link);
        if (!target || target->empty())
            return fail(ErrorKind::corrupt, "hard link to \"{}\", which is not in the archive",
                        entry.link);
        const auto [above, leaf] = split_leaf(*target);
        // Opening the target's parent may close ours, which comes from the same cache.
        const Fd from(
            ::fcntl(TRY(directories_.open(above, Missing::fail)).raw(), F_DUPFD_CLOEXEC, 0));
        if (!from) return fail_errno("duplicate descriptor");
        const auto info = TRY(stat_at(from, std::string(leaf)));
        if (!info)
            return fail(ErrorKind::corrupt, "hard link to \"{}\", which does not exist",
                        entry.link);
        parent_ = TRY(directories_.open(split_leaf(path_).first, Missing::create));
        const auto present = TRY(stat_at(parent_, leaf_));
        if (present && present->st_ino == info->st_ino && present->st_dev == info->st_dev)
            return {};
        return make(
            [&, name = std::string(leaf)] {
                return ::linkat(from.raw(), name.c_str(), parent_.raw(), leaf_.c_str(), 0);
            },
            "make hard link");
    }

    // --- whiteouts ------------------------------------------------------------------------------

    Result<void> make_opaque(FdView parent, const std::string& leaf) {
        const std::string path = leaf.empty() ? fd_path(parent) : fd_path(parent, leaf);
        if (::setxattr(path.c_str(), opaque_xattr, "y", 1, 0) < 0)
            return fail_errno("set {}", opaque_xattr);
        return {};
    }

    Result<void> whiteout(std::string_view above, std::string_view leaf) {
        // Hard link pool and other marks of aufs: no part of the file system.
        if (leaf.starts_with(aufs_prefix) && leaf != opaque_marker) return {};
        const FdView parent = TRY(directories_.open(above, Missing::create));
        if (leaf == opaque_marker) return make_opaque(parent, "");
        const std::string name(leaf.substr(whiteout_prefix.size()));
        if (name.empty() || name == "." || name == "..")
            return fail(ErrorKind::corrupt, "a whiteout without a name");
        if (::mknodat(parent.raw(), name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
        if (errno != EEXIST) return fail_errno("make whiteout");
        // A whiteout is about the layers below; what this layer brings itself stays.
        const auto present = TRY(stat_at(parent, name));
        if (present && S_ISDIR(present->st_mode)) return make_opaque(parent, name);
        return {};
    }

    // --- the end --------------------------------------------------------------------------------

    struct DirectoryTime {
        std::string path;
        timespec mtime;
    };

    /// Last, because everything made in a directory changes its time.
    Result<void> set_directory_times() {
        for (const DirectoryTime& item : directory_times_) {
            auto fd = directories_.open(item.path, Missing::fail);
            // A later entry took the directory away.
            if (!fd && (fd.error().number() == ENOENT || fd.error().number() == ENOTDIR)) continue;
            const FdView directory = TRY(std::move(fd));
            const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, item.mtime};
            if (::utimensat(AT_FDCWD, fd_path(directory).c_str(), times.data(), 0) < 0)
                return fail_errno("set times of {}", item.path);
        }
        return {};
    }

    FdView root_;
    TarReader& tar_;
    const UnpackPolicy& policy_;
    DirectoryCache directories_;
    UnpackResult result_;
    std::uint64_t written_ = 0;
    std::uint64_t replaced_ = 0;
    Fd replaced_directory_;
    std::vector<DirectoryTime> directory_times_;
    // The entry at hand.
    std::string path_;
    std::string leaf_;
    FdView parent_;
    std::string_view piece_;
};

}  // namespace

Result<UnpackResult> unpack_tree(FdView root, TarReader& tar, const UnpackPolicy& policy) {
    return Unpacker(root, tar, policy).run();
}

}  // namespace corten::storage
