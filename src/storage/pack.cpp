#include "pack.hpp"

#include "tree.hpp"

#include <sys/file.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>

namespace corten::storage {

namespace {

constexpr std::size_t buffer_size = 128 << 10;

std::optional<EntryType> type_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return EntryType::file;
        case S_IFDIR:
            return EntryType::directory;
        case S_IFLNK:
            return EntryType::symlink;
        case S_IFCHR:
            return EntryType::character_device;
        case S_IFBLK:
            return EntryType::block_device;
        case S_IFIFO:
            return EntryType::fifo;
        default:
            return std::nullopt;  // sockets have no form in a tar
    }
}

Result<std::string> read_link(FdView object) {
    std::string target(4096, '\0');
    const ssize_t n = ::readlinkat(object.raw(), "", target.data(), target.size());
    if (n < 0) return fail_errno("read symlink");
    target.resize(static_cast<std::size_t>(n));
    return target;
}

bool is_portable(std::string_view xattr) {
    return xattr == "security.capability" || xattr.starts_with("user.");
}

/// Of a file or directory. Labels of security modules and ACLs belong to the machine, not the tree.
Result<std::vector<std::pair<std::string, std::string>>> read_xattrs(FdView object) {
    std::vector<std::pair<std::string, std::string>> found;
    const std::string path = fd_path(object);
    const ssize_t size = ::listxattr(path.c_str(), nullptr, 0);
    if (size == 0 || (size < 0 && errno == ENOTSUP)) return found;
    if (size < 0) return fail_errno("list xattrs");
    std::string names(static_cast<std::size_t>(size), '\0');
    const ssize_t got = ::listxattr(path.c_str(), names.data(), names.size());
    if (got < 0) return fail_errno("list xattrs");
    std::string_view rest(names.data(), static_cast<std::size_t>(got));
    while (!rest.empty()) {
        const std::string name(rest.substr(0, rest.find('\0')));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        if (!is_portable(name)) continue;
        std::string value(64 << 10, '\0');
        const ssize_t n = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
        if (n < 0 && errno == ENODATA) continue;
        if (n < 0) return fail_errno("read {}", name);
        value.resize(static_cast<std::size_t>(n));
        found.emplace_back(name, std::move(value));
    }
    return found;
}

/// Where a file has data; nullopt when it has no holes worth a sparse entry.
Result<std::optional<std::vector<Extent>>> extents_of(FdView file, const struct ::stat& info) {
    std::optional<std::vector<Extent>> none;
    if (info.st_blocks * 512 >= info.st_size || info.st_size < 64 << 10) return none;
    std::vector<Extent> extents;
    for (off_t at = 0; at < info.st_size;) {
        const off_t data = ::lseek(file.raw(), at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        if (data < 0 && errno == EINVAL) return none;
        if (data < 0) return fail_errno("find data");
        if (data >= info.st_size) break;
        const off_t hole = std::min(::lseek(file.raw(), data, SEEK_HOLE), info.st_size);
        if (hole < 0) return fail_errno("find hole");
        extents.push_back(
            {static_cast<std::uint64_t>(data), static_cast<std::uint64_t>(hole - data)});
        at = hole;
    }
    if (extents.size() == 1 && extents[0].length == static_cast<std::uint64_t>(info.st_size))
        return none;
    return std::optional(std::move(extents));
}

TarEntry entry_of(const struct ::stat& info, EntryType type, std::string name) {
    TarEntry entry;
    entry.type = type;
    entry.name = std::move(name);
    entry.mode = info.st_mode & 07777;
    entry.uid = info.st_uid;
    entry.gid = info.st_gid;
    entry.mtime = info.st_mtim;
    if (type == EntryType::character_device || type == EntryType::block_device) {
        entry.device_major = major(info.st_rdev);
        entry.device_minor = minor(info.st_rdev);
    }
    return entry;
}

Result<void> write_extent(FdView file, Extent extent, TarWriter& out) {
    std::vector<char> buffer(std::min<std::uint64_t>(buffer_size, extent.length));
    while (extent.length > 0) {
        const auto wanted = std::min<std::uint64_t>(extent.length, buffer.size());
        ssize_t n = ::pread(file.raw(), buffer.data(), wanted, static_cast<off_t>(extent.offset));
        if (n < 0) return fail_errno("read");
        if (n == 0) {
            // Cut short since its header was written: the archive stays valid with zeros.
            std::ranges::fill(buffer, '\0');
            n = static_cast<ssize_t>(wanted);
        }
        TRY(out.write_data({buffer.data(), static_cast<std::size_t>(n)}));
        extent.offset += static_cast<std::uint64_t>(n);
        extent.length -= static_cast<std::uint64_t>(n);
    }
    return {};
}

Result<void> write_file(FdView object, const struct ::stat& info, TarEntry entry, TarWriter& out) {
    const Fd file = TRY(sys::reopen(object, O_RDONLY | O_NONBLOCK));
    entry.size = static_cast<std::uint64_t>(info.st_size);
    entry.extents = TRY(extents_of(file, info));
    const auto extents = entry.extents.value_or(std::vector<Extent>{{0, entry.size}});
    TRY(out.begin(entry));
    for (const Extent& extent : extents) TRY(write_extent(file, extent, out));
    return out.end();
}

Result<struct ::stat> stat_of(FdView object) {
    struct ::stat info{};
    if (::fstat(object.raw(), &info) < 0) return fail_errno("stat");
    return info;
}

Result<void> write_header(const TarEntry& entry, TarWriter& out) {
    TRY(out.begin(entry));
    return out.end();
}

}  // namespace

Result<void> pack_object(FdView object, const std::string& name, TarWriter& out) {
    const struct ::stat info = TRY(stat_of(object));
    const auto type = type_of(info.st_mode);
    if (!type) return {};
    TarEntry entry = entry_of(info, *type, name);
    if (*type == EntryType::symlink)
        entry.link = TRY(read_link(object));
    else
        entry.xattrs = TRY(read_xattrs(object));
    if (*type == EntryType::file) return write_file(object, info, std::move(entry), out);
    return write_header(entry, out);
}

namespace {

class Packer {
public:
    Packer(const PackRequest& request, TarWriter& out)
        : request_(request), out_(out), directories_(request.directory) {}

    Result<void> run() {
        if (request_.with_root) {
            const Fd root = TRY(sys::open_at(request_.directory, ".", O_PATH | O_DIRECTORY));
            TRY(directory_entry(root, request_.prefix + "/"));
        }
        TRY(enter(""));
        while (!levels_.empty()) {
            Level& level = levels_.back();
            if (level.next == level.items.size()) {
                levels_.pop_back();
                continue;
            }
            const std::string name = level.items[level.next++].name;
            const std::string path = level.path.empty() ? name : level.path + "/" + name;
            if (request_.options.exclude && request_.options.exclude(path)) continue;
            TRY(one(level.path, name, path).context(path.substr(0, 200)));
        }
        return {};
    }

private:
    /// A directory being listed. By path and not by open descriptor: depth is not bounded.
    struct Level {
        std::string path;
        std::vector<DirectoryItem> items;
        std::size_t next = 0;
    };

    std::string archive_name(const std::string& path) const {
        if (request_.prefix.empty() && !request_.with_root) return path;
        return fmt::format("{}/{}", request_.prefix, path);
    }

    Result<void> enter(const std::string& path) {
        const FdView directory = TRY(directories_.open(path, DirectoryCache::Missing::fail));
        const Fd fd = TRY(sys::open_at(directory, ".", O_RDONLY | O_DIRECTORY));
        if (overlay() && TRY(is_opaque(fd))) TRY(opaque_entry(fd, path));
        levels_.push_back({path, TRY(read_directory(fd))});
        return {};
    }

    Result<void> one(const std::string& above, const std::string& name, const std::string& path) {
        const FdView parent = TRY(directories_.open(above, DirectoryCache::Missing::fail));
        auto opened = sys::open_at(parent, name, O_PATH | O_NOFOLLOW);
        // Removed since it was listed, as happens in a running container.
        if (!opened && opened.error().number() == ENOENT) return {};
        const Fd object = TRY(std::move(opened));
        const struct ::stat info = TRY(stat_of(object));
        if (overlay() && is_whiteout(info)) return whiteout_entry(info, path);
        if (S_ISDIR(info.st_mode)) {
            TRY(directory_entry(object, archive_name(path) + "/"));
            return enter(path);
        }
        if (info.st_nlink > 1 && TRY(was_linked(info, path))) return {};
        return pack_object(object, archive_name(path), out_);
    }

    Result<void> directory_entry(FdView directory, std::string name) {
        const struct ::stat info = TRY(stat_of(directory));
        TarEntry entry = entry_of(info, EntryType::directory, std::move(name));
        entry.xattrs = TRY(read_xattrs(directory));
        return write_header(entry, out_);
    }

    /// True when the object went into the archive under another name, to which it is now linked.
    Result<bool> was_linked(const struct ::stat& info, const std::string& path) {
        if (!type_of(info.st_mode)) return false;
        const auto [first, fresh] =
            links_.try_emplace({info.st_dev, info.st_ino}, archive_name(path));
        if (fresh) return false;
        TarEntry entry = entry_of(info, EntryType::hard_link, archive_name(path));
        entry.link = first->second;
        TRY(write_header(entry, out_));
        return true;
    }

    bool overlay() const { return request_.options.whiteouts == Whiteouts::overlay; }

    Result<void> marker(const struct ::stat& info, const std::string& name) {
        TarEntry entry = entry_of(info, EntryType::file, archive_name(name));
        entry.mode = 0;
        return write_header(entry, out_);
    }
    Result<void> whiteout_entry(const struct ::stat& info, const std::string& path) {
        const auto [above, leaf] = split_leaf(path);
        return marker(info, above.empty() ? fmt::format(".wh.{}", leaf)
                                          : fmt::format("{}/.wh.{}", above, leaf));
    }
    Result<void> opaque_entry(FdView directory, const std::string& path) {
        const struct ::stat info = TRY(stat_of(directory));
        return marker(info, path.empty() ? ".wh..wh..opq" : path + "/.wh..wh..opq");
    }

    const PackRequest& request_;
    TarWriter& out_;
    DirectoryCache directories_;
    std::vector<Level> levels_;
    std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

Result<void> pack_tree(const PackRequest& request, TarWriter& out) {
    return Packer(request, out).run();
}

}  // namespace corten::storage
