#include <sys/file.hpp>
#include <sys/remove.hpp>

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

Result<Directory> list(FdView fd) {
    Fd copy = TRY(open_at(fd, ".", O_RDONLY | O_DIRECTORY));
    Directory directory(::fdopendir(copy.raw()));
    if (!directory) return fail_errno("read directory");
    (void)copy.release();
    return directory;
}

bool is_dot(std::string_view name) {
    return name == "." || name == "..";
}

Error mounted(std::string_view name) {
    return Error(ErrorKind::conflict, fmt::format("remove {}: something is mounted there", name));
}

/// One step of the removal: unlinks all but directories with something in them, and finds one.
Result<std::optional<std::string>> unlink_files(FdView directory, const std::stop_token& stop) {
    const Directory items = TRY(list(directory));
    for (;;) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "the removal was stopped");
        errno = 0;
        const dirent* item = ::readdir(items.get());
        if (!item && errno != 0) return fail_errno("read directory");
        if (!item) return std::optional<std::string>();
        if (is_dot(item->d_name)) continue;
        if (item->d_type != DT_DIR) {
            if (::unlinkat(directory.raw(), item->d_name, 0) == 0 || errno == ENOENT) continue;
            if (errno != EISDIR && errno != EPERM) return fail_errno("remove {}", item->d_name);
        }
        // Back from one that has something in it the listing begins anew: in a directory of
        // thousands that is worth to be spared for each that has nothing.
        if (::unlinkat(directory.raw(), item->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            continue;
        if (errno == EBUSY) return mounted(item->d_name);
        if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("remove {}", item->d_name);
        return std::optional<std::string>(item->d_name);
    }
}

struct Level {
    std::string name;  // in its parent
    dev_t device;
    ino_t inode;
};

Result<Level> level_of(FdView fd, std::string name) {
    struct ::stat info{};
    if (::fstat(fd.raw(), &info) < 0) return fail_errno("stat {}", name);
    return Level{std::move(name), info.st_dev, info.st_ino};
}

struct Step {
    Fd directory;
    Level level;
};

/// Down into a directory of the same file system.
Result<Step> enter(FdView parent, const Level& above, const std::string& name) {
    Fd directory = TRY(open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    Level level = TRY(level_of(directory, name));
    if (level.device != above.device) return mounted(name);
    return Step{std::move(directory), std::move(level)};
}

/// Back up from an emptied directory, which is then removed. A running container may have moved it
/// meanwhile, so that ".." is another directory than the one we came from.
Result<Fd> leave(FdView from, const Level& level, const Level& above) {
    Fd parent = TRY(open_at(from, "..", O_RDONLY | O_DIRECTORY));
    const Level found = TRY(level_of(parent, above.name));
    if (found.inode != above.inode || found.device != above.device)
        return fail(ErrorKind::conflict, "directory {} was moved while it was removed", level.name);
    if (::unlinkat(parent.raw(), level.name.c_str(), AT_REMOVEDIR) < 0)
        return fail_errno("remove directory {}", level.name);
    return parent;
}

/// Iterative and with one descriptor, because the depth of a hostile tree is not bounded.
Result<void> empty_directory(Step top, const std::stop_token& stop) {
    Fd current = std::move(top.directory);
    std::vector<Level> way;
    way.push_back(std::move(top.level));
    for (;;) {
        if (const auto deeper = TRY(unlink_files(current, stop))) {
            Step step = TRY(enter(current, way.back(), *deeper));
            current = std::move(step.directory);
            way.push_back(std::move(step.level));
            continue;
        }
        if (way.size() == 1) return {};
        current = TRY(leave(current, way.back(), way[way.size() - 2]));
        way.pop_back();
    }
}

}  // namespace

Result<void> remove_at(FdView directory, const std::string& name, const std::stop_token& stop) {
    if (::unlinkat(directory.raw(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno("remove {}", name);
    if (::unlinkat(directory.raw(), name.c_str(), AT_REMOVEDIR) == 0) return {};
    if (errno == EBUSY) return mounted(name);
    if (errno != ENOTEMPTY) return fail_errno("remove {}", name);
    const Level above = TRY(level_of(directory, "directory"));
    TRY(empty_directory(TRY(enter(directory, above, name)), stop));
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
