#include <sys/file.hpp>
#include <sys/remove.hpp>
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

namespace corten::sys {

namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

bool is_dot(std::string_view name) {
    return name == "." || name == "..";
}

Error mounted(std::string_view name) {
    return Error(ErrorKind::conflict, fmt::format("remove {}: something is mounted there", name));
}

/// A directory on the way to what is being removed.
struct Level {
    std::string name;  // in its parent
    dev_t device;
    ino_t inode;
    Directory items;  // being read; null while it is closed, as too many were open
    bool removed_some = false;

    FdView fd() const { return FdView(::dirfd(items.get())); }
};

Result<Level> level_of(Fd directory, std::string name) {
    struct ::stat info{};
    if (::fstat(directory.raw(), &info) < 0) return fail_errno("stat {}", name);
    Directory items(::fdopendir(directory.raw()));
    if (!items) return fail_errno("read directory {}", name);
    (void)directory.release();
    return Level{std::move(name), info.st_dev, info.st_ino, std::move(items)};
}

enum class Removed { yes, no };

/// Everything but a directory with something in it.
Result<Removed> remove_item(FdView directory, const dirent& item) {
    if (item.d_type != DT_DIR) {
        if (::unlinkat(directory.raw(), item.d_name, 0) == 0 || errno == ENOENT)
            return Removed::yes;
        if (errno != EISDIR && errno != EPERM) return fail_errno("remove {}", item.d_name);
    }
    if (::unlinkat(directory.raw(), item.d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return Removed::yes;
    if (errno == EBUSY) return mounted(item.d_name);
    if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("remove {}", item.d_name);
    return Removed::no;
}

/// Removes what can be, and finds a directory with something in it; nullopt when nothing is left.
Result<std::optional<std::string>> find_full(Level& level, const std::stop_token& stop) {
    for (;;) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "the removal was stopped");
        errno = 0;
        const dirent* item = ::readdir(level.items.get());
        if (!item && errno != 0) return fail_errno("read directory {}", level.name);
        // A file system may pass over some of what is read while others are removed.
        if (!item && std::exchange(level.removed_some, false))
            ::rewinddir(level.items.get());
        else if (!item)
            return std::optional<std::string>();
        else if (is_dot(item->d_name))
            continue;
        else if (TRY(remove_item(level.fd(), *item)) == Removed::yes)
            level.removed_some = true;
        else
            return std::optional<std::string>(item->d_name);
    }
}

/// Down into a directory of the same file system.
Result<Level> enter(FdView parent, dev_t device, const std::string& name) {
    Level level =
        TRY(level_of(TRY(open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)), name));
    if (level.device != device) return mounted(name);
    return level;
}

/// Opens the one above again, by the way up. A running container may have moved the lower one
/// meanwhile, so that ".." is another directory than the one we came from.
Result<void> open_again(Level& above, const Level& below) {
    Level found = TRY(level_of(TRY(open_at(below.fd(), "..", O_RDONLY | O_DIRECTORY)), above.name));
    if (found.inode != above.inode || found.device != above.device)
        return fail(ErrorKind::conflict, "directory {} was moved while it was removed", below.name);
    above = std::move(found);
    return {};
}

/// Iterative and with few descriptors, because the depth of a hostile tree is not bounded.
Result<void> empty_directory(Level top, const std::stop_token& stop) {
    constexpr std::size_t most_open = 32;
    std::vector<Level> way;
    way.push_back(std::move(top));
    for (;;) {
        if (const auto deeper = TRY(find_full(way.back(), stop))) {
            way.push_back(TRY(enter(way.back().fd(), way.back().device, *deeper)));
            if (way.size() > most_open) way[way.size() - 1 - most_open].items.reset();
            continue;
        }
        if (way.size() == 1) return {};
        const Level emptied = std::move(way.back());
        way.pop_back();
        Level& above = way.back();
        if (!above.items) TRY(open_again(above, emptied));
        if (::unlinkat(above.fd().raw(), emptied.name.c_str(), AT_REMOVEDIR) < 0)
            return fail_errno("remove directory {}", emptied.name);
        above.removed_some = true;
    }
}

}  // namespace

Result<void> remove_at(FdView directory, const std::string& name, const std::stop_token& stop) {
    if (::unlinkat(directory.raw(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno("remove {}", name);
    if (::unlinkat(directory.raw(), name.c_str(), AT_REMOVEDIR) == 0) return {};
    if (errno == EBUSY) return mounted(name);
    if (errno != ENOTEMPTY) return fail_errno("remove {}", name);
    struct ::stat above{};
    if (::fstat(directory.raw(), &above) < 0) return fail_errno("stat the directory of {}", name);
    TRY(empty_directory(TRY(enter(directory, above.st_dev, name)), stop));
    if (::unlinkat(directory.raw(), name.c_str(), AT_REMOVEDIR) < 0)
        return fail_errno("remove directory {}", name);
    return {};
}

Result<void> remove_tree(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const auto directory = open(parent, O_RDONLY | O_DIRECTORY);
    if (!directory && directory.error().number() == ENOENT) return {};
    if (!directory) return directory.error();
    return remove_at(*directory, path.substr(slash + 1)).context(path);
}

}  // namespace corten::sys
