#include "overlay_changes.hpp"

#include "tree.hpp"

#include <storage/archive.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

namespace corten::storage {

namespace {

using Stat = struct ::stat;

Result<Stat> stat_of(FdView fd) {
    Stat info{};
    if (::fstat(fd.raw(), &info) < 0) return fail_errno("stat");
    return info;
}

std::string capability_of(FdView object) {
    std::string value(256, '\0');
    const ssize_t n =
        ::getxattr(fd_path(object).c_str(), "security.capability", value.data(), value.size());
    value.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return value;
}

/// As docker compares: a directory's time and size change with its items and say nothing.
bool same_stat(const Stat& a, const Stat& b) {
    if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid ||
        a.st_rdev != b.st_rdev)
        return false;
    if (S_ISDIR(a.st_mode)) return true;
    return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
           a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

class ChangeWalk {
public:
    ChangeWalk(FdView upper, FdView lower) : upper_(upper), lower_(lower) {}

    Result<std::vector<Change>> run() {
        pending_.push_back({"", Below::merged});
        while (!pending_.empty()) {
            const Directory directory = std::move(pending_.back());
            pending_.pop_back();
            TRY(visit(directory).context(directory.path));
        }
        add_parents();
        std::ranges::sort(changes_, {}, &Change::path);
        return std::move(changes_);
    }

private:
    enum class Below { nothing, merged };
    struct Directory {
        std::string path;  // clean, "" for the root
        Below below;       // whether the view below has a directory of the same name
    };

    Result<void> visit(const Directory& directory) {
        const FdView upper = TRY(upper_.open(directory.path, DirectoryCache::Missing::fail));
        const Fd fd = TRY(sys::open_at(upper, ".", O_RDONLY | O_DIRECTORY));
        const auto items = TRY(read_directory(fd));
        if (directory.below == Below::merged && TRY(is_opaque(fd)))
            TRY(hidden_items(directory.path, items));
        for (const DirectoryItem& item : items) TRY(visit_item(fd, directory, item.name));
        return {};
    }

    /// An opaque directory hides what was there and did not come back.
    Result<void> hidden_items(const std::string& path, const std::vector<DirectoryItem>& items) {
        const FdView lower = TRY(lower_.open(path, DirectoryCache::Missing::fail));
        for (const DirectoryItem& item : TRY(read_directory(lower)))
            if (!std::ranges::binary_search(items, item.name, {}, &DirectoryItem::name))
                add(join(path, item.name), ChangeKind::deleted);
        return {};
    }

    Result<void> visit_item(FdView upper, const Directory& directory, const std::string& name) {
        const std::string path = join(directory.path, name);
        const Fd object = TRY(sys::open_at(upper, name, O_PATH | O_NOFOLLOW));
        const Stat now = TRY(stat_of(object));
        const Fd old = TRY(open_below(directory, name));
        if (is_whiteout(now)) {
            if (old) add(path, ChangeKind::deleted);
            return {};
        }
        bool old_is_directory = false;
        if (!old) {
            add(path, ChangeKind::added);
        } else {
            const Stat before = TRY(stat_of(old));
            old_is_directory = S_ISDIR(before.st_mode);
            if (!same_stat(now, before) || capability_of(object) != capability_of(old))
                add(path, ChangeKind::modified);
        }
        if (S_ISDIR(now.st_mode))
            pending_.push_back({path, old_is_directory ? Below::merged : Below::nothing});
        return {};
    }

    /// The object of the same name below; not valid when there is none.
    Result<Fd> open_below(const Directory& directory, const std::string& name) {
        if (directory.below == Below::nothing) return Fd();
        const FdView parent = TRY(lower_.open(directory.path, DirectoryCache::Missing::fail));
        auto object = sys::open_at(parent, name, O_PATH | O_NOFOLLOW);
        if (!object && object.error().number() == ENOENT) return Fd();
        return object;
    }

    static std::string join(const std::string& path, const std::string& name) {
        return path.empty() ? name : fmt::format("{}/{}", path, name);
    }
    void add(const std::string& path, ChangeKind kind) { changes_.push_back({"/" + path, kind}); }

    /// A directory in which something changed counts as modified, up to (not including) the root.
    void add_parents() {
        std::set<std::string, std::less<>> known;
        for (const Change& change : changes_) known.insert(change.path);
        const std::size_t count = changes_.size();
        for (std::size_t i = 0; i < count; ++i) {
            std::string_view path = changes_[i].path;
            for (auto slash = path.rfind('/'); slash > 0; slash = path.rfind('/')) {
                path = path.substr(0, slash);
                const auto [entry, fresh] = known.emplace(path);
                if (!fresh) break;
                path = *entry;  // what it was a view of moves when changes_ grows
                changes_.push_back({*entry, ChangeKind::modified});
            }
        }
    }

    DirectoryCache upper_;
    DirectoryCache lower_;
    std::vector<Directory> pending_;
    std::vector<Change> changes_;
};

}  // namespace

Result<std::vector<Change>> overlay_changes(FdView upper, FdView lower) {
    return ChangeWalk(upper, lower).run();
}

namespace {

class UsageWalk {
public:
    UsageWalk(FdView root, Mounted mounted) : directories_(root), mounted_(mounted) {}

    Result<Usage> run() {
        pending_.push_back("");
        while (!pending_.empty()) {
            const std::string path = std::move(pending_.back());
            pending_.pop_back();
            TRY(visit(path).context(path));
        }
        return usage_;
    }

private:
    Result<void> visit(const std::string& path) {
        auto opened = directories_.open(path, DirectoryCache::Missing::fail);
        if (!opened && opened.error().number() == ENOENT) return {};  // a container removed it
        const FdView directory = TRY(std::move(opened));
        Stat self{};
        if (::fstatat(directory.raw(), "", &self, AT_EMPTY_PATH) < 0) return fail_errno("stat");
        if (path.empty()) device_ = self.st_dev;
        if (mounted_ == Mounted::left_out && self.st_dev != device_) return {};
        count(self);
        for (const DirectoryItem& item : TRY(read_directory(directory))) {
            const auto info = TRY(stat_at(directory, item.name));
            if (!info) continue;
            if (S_ISDIR(info->st_mode))
                pending_.push_back(path.empty() ? item.name : path + "/" + item.name);
            else if (info->st_nlink < 2 || seen_.emplace(info->st_dev, info->st_ino).second)
                count(*info);
        }
        return {};
    }
    void count(const Stat& info) {
        ++usage_.inodes;
        usage_.disk_bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
        if (S_ISREG(info.st_mode)) usage_.bytes += static_cast<std::uint64_t>(info.st_size);
    }

    DirectoryCache directories_;
    const Mounted mounted_;
    dev_t device_ = 0;  ///< of the root
    std::vector<std::string> pending_;
    std::set<std::pair<dev_t, ino_t>> seen_;
    Usage usage_;
};

}  // namespace

Result<Usage> tree_usage(FdView directory, Mounted mounted) {
    return UsageWalk(directory, mounted).run();
}

}  // namespace corten::storage
