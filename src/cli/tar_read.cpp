#include "tar.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace corten::cli {

namespace {

/// The entry's name below the target directory. Names that lead out of it are refused; symlinks in
/// the tree are refused by the kernel when the file is opened (see parent_directory()).
Result<std::string> place_of(std::string_view entry_name, const std::string& top) {
    std::vector<std::string> parts;
    for (const std::string& part : split(entry_name, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..")
            return fail(ErrorKind::corrupt, "archive has a path with \"..\": {}", entry_name);
        parts.push_back(part);
    }
    if (!parts.empty()) parts.erase(parts.begin());
    if (top != ".") parts.insert(parts.begin(), top);
    return parts.empty() ? std::string(".") : join(parts, "/");
}

class Unpacker {
public:
    Unpacker(Fd root, std::string top, UntarOptions options)
        : root_(std::move(root)), top_(std::move(top)), options_(options) {}

    Result<void> run(const ByteSource& source) {
        source_ = &source;
        const std::unique_ptr<archive, Free> reader(::archive_read_new());
        ::archive_read_support_format_tar(reader.get());
        int code = ::archive_read_open(reader.get(), this, nullptr, &Unpacker::more, nullptr);
        archive_entry* entry = nullptr;
        while (code >= ARCHIVE_WARN &&
               (code = ::archive_read_next_header(reader.get(), &entry)) >= ARCHIVE_WARN &&
               code != ARCHIVE_EOF)
            TRY(unpack(reader.get(), entry));
        if (failure_) return *failure_;
        if (code < ARCHIVE_WARN)
            return fail(ErrorKind::corrupt, "archive from the daemon: {}",
                        ::archive_error_string(reader.get()));
        return finish_directories();
    }

private:
    struct Free {
        void operator()(archive* a) const { ::archive_read_free(a); }
    };
    struct Place {
        Fd parent;
        std::string base;
    };

    static la_ssize_t more(archive* reader, void* self, const void** bytes) {
        auto& unpacker = *static_cast<Unpacker*>(self);
        const auto count = (*unpacker.source_)(unpacker.buffer_);
        if (!count) {
            unpacker.failure_ = count.error();
            ::archive_set_error(reader, EIO, "%s", count.error().message().c_str());
            return -1;
        }
        *bytes = unpacker.buffer_.data();
        return static_cast<la_ssize_t>(*count);
    }

    /// The directory in which an entry lies: made when it is missing, never through a symlink.
    Result<Place> find_place(const std::string& path) {
        const auto slash = path.rfind('/');
        if (slash == path.npos) return Place{TRY(sys::reopen(root_, O_RDONLY | O_DIRECTORY)), path};
        const std::string parent = path.substr(0, slash);
        auto opened = sys::open_in_root(root_, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!opened && opened.error().number() == ENOENT) {
            const Place above = TRY(find_place(parent));
            if (::mkdirat(above.parent.raw(), above.base.c_str(), 0755) != 0 && errno != EEXIST)
                return fail_errno("mkdir {}", parent);
            opened = sys::open_in_root(root_, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        }
        return Place{TRY(std::move(opened)), path.substr(slash + 1)};
    }

    Result<void> unpack(archive* reader, archive_entry* entry) {
        const std::string path = TRY(place_of(::archive_entry_pathname(entry), top_));
        const Place place = TRY(find_place(path));
        const auto type = ::archive_entry_filetype(entry);
        if (::archive_entry_hardlink(entry)) return make_hard_link(place, entry);
        if (type == AE_IFDIR) return make_directory(place, path, entry);
        if (type == AE_IFLNK) return make_symlink(place, entry);
        if (type == AE_IFREG) return make_file(reader, place, entry);
        return make_node(place, entry);
    }

    Result<void> make_directory(const Place& place, const std::string& path, archive_entry* entry) {
        if (::mkdirat(place.parent.raw(), place.base.c_str(), 0700) != 0) {
            struct ::stat info{};
            const bool there = errno == EEXIST && ::fstatat(place.parent.raw(), place.base.c_str(),
                                                            &info, AT_SYMLINK_NOFOLLOW) == 0;
            if (!there || !S_ISDIR(info.st_mode))
                return fail(ErrorKind::conflict, "{}: cannot make a directory of it", path);
        }
        // Its mode and time are set at the end: both change, or bar, what is still to be written.
        directories_.push_back({path, static_cast<mode_t>(::archive_entry_perm(entry)),
                                time_of(entry), owner_of(entry), xattrs_of(entry)});
        return {};
    }

    Result<void> make_file(archive* reader, const Place& place, archive_entry* entry) {
        TRY(clear_way(place));
        Fd file = TRY(
            sys::open_at(place.parent, place.base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
        const void* bytes = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        int code = ARCHIVE_OK;
        while ((code = ::archive_read_data_block(reader, &bytes, &size, &offset)) == ARCHIVE_OK)
            TRY(write_at(file, {static_cast<const char*>(bytes), size}, offset));
        if (code != ARCHIVE_EOF)
            return fail(ErrorKind::corrupt, "{}: {}", place.base, ::archive_error_string(reader));
        if (::ftruncate(file.raw(), ::archive_entry_size(entry)) != 0)
            return fail_errno("truncate {}", place.base);
        TRY(keep_archived(file, owner_of(entry), xattrs_of(entry)).context(place.base));
        if (::fchmod(file.raw(), static_cast<mode_t>(::archive_entry_perm(entry))) != 0)
            return fail_errno("chmod {}", place.base);
        return set_time(place, entry);
    }

    static Result<void> write_at(const Fd& file, std::string_view bytes, la_int64_t offset) {
        while (!bytes.empty()) {
            const ssize_t count = ::pwrite(file.raw(), bytes.data(), bytes.size(), offset);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return fail_errno("write");
            bytes.remove_prefix(static_cast<std::size_t>(count));
            offset += count;
        }
        return {};
    }

    Result<void> make_symlink(const Place& place, archive_entry* entry) {
        TRY(clear_way(place));
        if (::symlinkat(::archive_entry_symlink(entry), place.parent.raw(), place.base.c_str()) !=
            0)
            return fail_errno("symlink {}", place.base);
        return finish_node(place, entry);  // its mode cannot be set
    }

    Result<void> make_hard_link(const Place& place, archive_entry* entry) {
        TRY(clear_way(place));
        const Place target = TRY(find_place(TRY(place_of(::archive_entry_hardlink(entry), top_))));
        if (::linkat(target.parent.raw(), target.base.c_str(), place.parent.raw(),
                     place.base.c_str(), 0) != 0)
            return fail_errno("link {} to {}", place.base, target.base);
        return {};
    }

    Result<void> make_node(const Place& place, archive_entry* entry) {
        TRY(clear_way(place));
        const auto mode = ::archive_entry_filetype(entry) | ::archive_entry_perm(entry);
        if (::mknodat(place.parent.raw(), place.base.c_str(), mode, ::archive_entry_rdev(entry)) !=
            0)
            return fail_errno("mknod {}", place.base);
        TRY(finish_node(place, entry));
        // mknod() took away what the umask says, and a change of owner setuid bits.
        if (::fchmodat(place.parent.raw(), place.base.c_str(), ::archive_entry_perm(entry),
                       AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno("chmod {}", place.base);
        return {};
    }

    Result<void> finish_node(const Place& place, archive_entry* entry) {
        const auto [uid, gid] = owner_of(entry);
        if (options_.keep_owner &&
            ::fchownat(place.parent.raw(), place.base.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno("chown {}", place.base);
        return set_time(place, entry);
    }

    /// Replaces what is there, but never a directory.
    static Result<void> clear_way(const Place& place) {
        if (::unlinkat(place.parent.raw(), place.base.c_str(), 0) == 0 || errno == ENOENT)
            return {};
        return fail_errno("replace {}", place.base);
    }

    static timespec time_of(archive_entry* entry) {
        return {.tv_sec = ::archive_entry_mtime(entry),
                .tv_nsec = ::archive_entry_mtime_nsec(entry)};
    }
    static std::pair<uid_t, gid_t> owner_of(archive_entry* entry) {
        return {static_cast<uid_t>(::archive_entry_uid(entry)),
                static_cast<gid_t>(::archive_entry_gid(entry))};
    }
    using Xattrs = std::vector<std::pair<std::string, std::string>>;
    static Xattrs xattrs_of(archive_entry* entry) {
        Xattrs xattrs;
        const char* name = nullptr;
        const void* value = nullptr;
        std::size_t size = 0;
        ::archive_entry_xattr_reset(entry);
        while (::archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
            xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
        return xattrs;
    }
    /// What only an archive copy keeps, of a file or directory. In this order: a change of owner
    /// takes away security.capability.
    Result<void> keep_archived(const Fd& object, std::pair<uid_t, gid_t> owner,
                               const Xattrs& xattrs) const {
        if (!options_.keep_owner) return {};
        if (::fchown(object.raw(), owner.first, owner.second) != 0) return fail_errno("chown");
        for (const auto& [name, value] : xattrs)
            if (::fsetxattr(object.raw(), name.c_str(), value.data(), value.size(), 0) != 0)
                return fail_errno("set {}", name);
        return {};
    }
    static Result<void> set_time(const Place& place, archive_entry* entry) {
        const std::array<timespec, 2> times = {timespec{.tv_nsec = UTIME_OMIT}, time_of(entry)};
        if (::utimensat(place.parent.raw(), place.base.c_str(), times.data(),
                        AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno("set the time of {}", place.base);
        return {};
    }

    struct MadeDirectory {
        std::string path;
        mode_t mode;
        timespec time;
        std::pair<uid_t, gid_t> owner;
        Xattrs xattrs;
    };
    Result<void> finish_directories() {
        for (auto made = directories_.rbegin(); made != directories_.rend(); ++made) {
            const Fd fd =
                TRY(sys::open_in_root(root_, made->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
            TRY(keep_archived(fd, made->owner, made->xattrs).context(made->path));
            if (::fchmod(fd.raw(), made->mode) != 0) return fail_errno("chmod {}", made->path);
            const std::array<timespec, 2> times = {timespec{.tv_nsec = UTIME_OMIT}, made->time};
            if (::futimens(fd.raw(), times.data()) != 0)
                return fail_errno("set the time of {}", made->path);
        }
        return {};
    }

    Fd root_;
    std::string top_;
    UntarOptions options_;
    const ByteSource* source_ = nullptr;
    std::array<char, 65536> buffer_;
    std::optional<Error> failure_;
    std::vector<MadeDirectory> directories_;
};

}  // namespace

Result<void> untar(const ByteSource& source, const std::string& directory, const std::string& name,
                   const UntarOptions& options) {
    Fd root = TRY(sys::open(directory, O_RDONLY | O_DIRECTORY));
    return std::make_unique<Unpacker>(std::move(root), name, options)->run(source);
}

}  // namespace corten::cli
