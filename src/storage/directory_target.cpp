#include "directory_target.hpp"

#include <sys/file.hpp>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace corten::storage {

namespace {

std::array<timespec, 2> times_of(const TarEntry& entry) {
    return {timespec{0, UTIME_OMIT}, entry.mtime};
}

/// What a call that makes a name gave: false when the name is taken.
Result<bool> made_unless_taken(int outcome, std::string_view doing) {
    if (outcome >= 0) return true;
    if (errno == EEXIST) return false;
    return fail_errno("{}", doing);
}

/// `set` is setxattr(2), or lsetxattr(2) where `path` ends in a symlink that is the object.
Result<void> set_xattrs(decltype(&::setxattr) set, const std::string& path, const TarEntry& entry) {
    for (const auto& [name, value] : entry.xattrs) {
        if (is_layer_mark(name)) continue;
        if (set(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0) continue;
        // As docker: a file system without them, or user.* on what is no file or directory.
        if (errno == ENOTSUP || (errno == EPERM && name.starts_with("user."))) continue;
        return fail_errno("set {}", name);
    }
    return {};
}

Result<void> set_opaque(FdView parent, const std::string& name) {
    const std::string path = name.empty() ? fd_path(parent) : fd_path(parent, name);
    if (::setxattr(path.c_str(), opaque_xattr, "y", 1, 0) < 0)
        return fail_errno("set {}", opaque_xattr);
    return {};
}

}  // namespace

DirectoryTarget::DirectoryTarget(FdView root, const UnpackPolicy& policy)
    : root_(root),
      policy_(policy),
      directories_(root),
      directory_times_(policy.record_directory),
      parent_(root) {
    directories_.replace = [this](FdView parent, const std::string& name) {
        return replace_by_directory(parent, name);
    };
    directories_.made = [this] { return made ? made() : Result<void>(); };
}

Result<void> DirectoryTarget::enter(std::string_view path, Missing missing) {
    parent_ =
        TRY(directories_.open(path, missing == Missing::create ? DirectoryCache::Missing::create
                                                               : DirectoryCache::Missing::fail));
    entered_ = path;
    return {};
}

Result<std::string> DirectoryTarget::place() {
    if (!TRY(directories_.leads_through_symlink(entered_))) return entered_;
    return TRY(path_in_root(root_, parent_)).substr(1);
}

Result<UnpackTarget::Found> DirectoryTarget::find(const std::string& name) {
    const auto info = TRY(stat_at(parent_, name));
    if (!info) return Found::nothing;
    if (S_ISDIR(info->st_mode)) return Found::directory;
    if (S_ISREG(info->st_mode)) return Found::file;
    if (S_ISLNK(info->st_mode)) return Found::symlink;
    return is_whiteout(*info) ? Found::whiteout : Found::other;
}

// --- what is in the way --------------------------------------------------------------------------

/// A parent that is missing has its name taken. Only a whiteout that came earlier gives way, to a
/// directory that hides what is below it.
Result<void> DirectoryTarget::replace_by_directory(FdView parent, const std::string& name) {
    const auto found = TRY(stat_at(parent, name));
    if (!found || policy_.whiteouts != Whiteouts::overlay || !is_whiteout(*found)) return {};
    TRY(remove_at(parent, name));
    if (::mkdirat(parent.raw(), name.c_str(), 0755) < 0)
        return fail_errno("make directory {}", name);
    return set_opaque(parent, name);
}

/// Paths that went through a directory or symlink lead elsewhere once it is gone.
Result<void> DirectoryTarget::forget_paths(Found what) {
    if (what != Found::directory && what != Found::symlink) return {};
    directories_.clear();
    return enter(std::string(entered_), Missing::create);
}

Result<void> DirectoryTarget::remove(const std::string& name, Found what) {
    TRY(remove_at(parent_, name));
    return forget_paths(what);
}

Result<void> DirectoryTarget::set_aside(const std::string& name, Found what, std::uint64_t number) {
    if (!replaced_directory_) {
        if (::mkdirat(policy_.record_directory.raw(), "replaced", 0700) < 0 && errno != EEXIST)
            return fail_errno("make directory for replaced entries");
        replaced_directory_ = TRY(
            sys::open_at(policy_.record_directory, "replaced", O_PATH | O_DIRECTORY | O_NOFOLLOW));
    }
    const std::string target = fmt::format("{}", number);
    if (::renameat(parent_.raw(), name.c_str(), replaced_directory_.raw(), target.c_str()) < 0)
        return fail_errno("set aside {}", name);
    return forget_paths(what);
}

// --- metadata ------------------------------------------------------------------------------------

Owner DirectoryTarget::owner_of(const TarEntry& entry) const {
    return policy_.owner.value_or(Owner{entry.uid, entry.gid});
}

/// Owner, then xattrs, then mode: chown clears file capabilities and setuid bits.
/// `path` names the same object, for calls that take no such descriptor.
Result<void> DirectoryTarget::set_metadata(FdView fd, const std::string& path,
                                           const TarEntry& entry) {
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

/// As set_metadata(), by descriptor: this is the path of nearly every entry.
Result<void> DirectoryTarget::set_file_metadata(FdView fd, const TarEntry& entry) {
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

Result<void> DirectoryTarget::set_times(const std::string& name, const TarEntry& entry) {
    if (::utimensat(parent_.raw(), name.c_str(), times_of(entry).data(), AT_SYMLINK_NOFOLLOW) < 0)
        return fail_errno("set times");
    return {};
}

// --- entries -------------------------------------------------------------------------------------

Result<bool> DirectoryTarget::make_file(const std::string& name, const TarEntry& entry) {
    file_.reset(::openat(parent_.raw(), name.c_str(),
                         O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, entry.mode & 0777));
    offset_ = 0;
    return made_unless_taken(file_.raw(), "create file");
}

Result<void> DirectoryTarget::write(std::uint64_t offset, std::string_view bytes) {
    if (offset != offset_ && ::lseek(file_.raw(), static_cast<off_t>(offset), SEEK_SET) < 0)
        return fail_errno("seek to {}", offset);
    offset_ = offset + bytes.size();
    return sys::write_all(file_, bytes);
}

Result<void> DirectoryTarget::end_file(const TarEntry& entry) {
    if (entry.extents && ::ftruncate(file_.raw(), static_cast<off_t>(entry.size)) < 0)
        return fail_errno("set the size to {}", entry.size);
    TRY(set_file_metadata(file_, entry));
    if (::futimens(file_.raw(), times_of(entry).data()) < 0) return fail_errno("set times");
    file_.reset();
    return {};
}

Result<bool> DirectoryTarget::make_directory(const std::string& name, const TarEntry& entry) {
    return made_unless_taken(::mkdirat(parent_.raw(), name.c_str(), entry.mode & 0777),
                             "make directory");
}

Result<void> DirectoryTarget::set_directory(const std::string& name, const TarEntry& entry) {
    Fd fd = TRY(sys::open_at(parent_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(set_metadata(fd, fd_path(fd), entry));
    const std::string path = entered_.empty() ? name : fmt::format("{}/{}", entered_, name);
    TRY(directory_times_.add(path, entry.mtime));
    // It may push the one that was entered out of the cache: the next entry enters its own.
    directories_.add(path, std::move(fd));
    return {};
}

Result<void> DirectoryTarget::set_root(const TarEntry& entry) {
    const Fd fd = TRY(sys::open_at(root_, ".", O_RDONLY | O_DIRECTORY));
    TRY(set_metadata(fd, fd_path(fd), entry));
    return directory_times_.add("", entry.mtime);
}

Result<bool> DirectoryTarget::make_symlink(const std::string& name, const TarEntry& entry) {
    const int outcome = ::symlinkat(entry.link.c_str(), parent_.raw(), name.c_str());
    if (!TRY(made_unless_taken(outcome, "make symlink"))) return false;
    const Owner owner = owner_of(entry);
    if (::fchownat(parent_.raw(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_errno("change owner to {}:{}", owner.uid, owner.gid);
    if (!entry.xattrs.empty()) TRY(set_xattrs(&::lsetxattr, fd_path(parent_, name), entry));
    TRY(set_times(name, entry));
    return true;
}

Result<bool> DirectoryTarget::make_special(const std::string& name, const TarEntry& entry) {
    const mode_t type = entry.type == EntryType::fifo               ? S_IFIFO
                        : entry.type == EntryType::character_device ? S_IFCHR
                                                                    : S_IFBLK;
    const dev_t device = type == S_IFIFO ? 0 : makedev(entry.device_major, entry.device_minor);
    const int outcome = ::mknodat(parent_.raw(), name.c_str(), type | (entry.mode & 0777), device);
    if (!TRY(made_unless_taken(outcome, "make device"))) return false;
    // Never opened for real: a device would answer, a FIFO would block.
    const Fd fd = TRY(sys::open_at(parent_, name, O_PATH | O_NOFOLLOW));
    TRY(set_metadata(fd, fd_path(fd), entry));
    TRY(set_times(name, entry));
    return true;
}

Result<bool> DirectoryTarget::make_whiteout(const std::string& name) {
    return made_unless_taken(::mknodat(parent_.raw(), name.c_str(), S_IFCHR, makedev(0, 0)),
                             "make whiteout");
}

Result<void> DirectoryTarget::make_opaque(const std::string& name) {
    return set_opaque(parent_, name);
}

Result<bool> DirectoryTarget::make_hard_link(const std::string& name, std::string_view path) {
    const auto [above, leaf] = split_leaf(path);
    // Opening the target's parent may close the one we are in, which comes from the same cache.
    const Fd from =
        TRY(sys::duplicate(TRY(directories_.open(above, DirectoryCache::Missing::fail))));
    TRY(enter(std::string(entered_), Missing::create));
    const std::string target(leaf);
    const auto info = TRY(stat_at(from, target));
    if (!info) return fail(ErrorKind::corrupt, "hard link to \"{}\", which does not exist", path);
    const auto present = TRY(stat_at(parent_, name));
    if (present) return present->st_ino == info->st_ino && present->st_dev == info->st_dev;
    return made_unless_taken(::linkat(from.raw(), target.c_str(), parent_.raw(), name.c_str(), 0),
                             "make hard link");
}

// --- the end -------------------------------------------------------------------------------------

/// Times of directories last, because everything made in one changes them.
Result<void> DirectoryTarget::finish() {
    return directory_times_.for_each([this](const std::string& path, timespec mtime) {
        return set_directory_time(path, mtime);
    });
}

Result<void> DirectoryTarget::set_directory_time(const std::string& path, timespec mtime) {
    auto fd = directories_.open(path, DirectoryCache::Missing::fail);
    // A later entry took the directory away.
    if (!fd && (fd.error().number() == ENOENT || fd.error().number() == ENOTDIR)) return {};
    const FdView directory = TRY(std::move(fd));
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, mtime};
    if (::utimensat(AT_FDCWD, fd_path(directory).c_str(), times.data(), 0) < 0)
        return fail_errno("set times of {}", path);
    return {};
}

}  // namespace corten::storage
