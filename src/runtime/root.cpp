#include "root.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace corten::runtime {
namespace {

constexpr int most_links = 40;  // the kernel's own bound for one path

Result<Fd> make_at(FdView root, const std::string& path, Target kind, int links);

Result<std::string> read_link(FdView directory, const std::string& name) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(directory.raw(), name.c_str(), target, sizeof target);
    if (n < 0) return fail_errno("read link {}", name);
    return std::string(target, static_cast<std::size_t>(n));
}

Result<void> make_entry(FdView directory, const std::string& name, Target kind) {
    if (kind == Target::directory) {
        if (::mkdirat(directory.raw(), name.c_str(), 0755) < 0) return fail_errno("mkdir {}", name);
        return {};
    }
    const Fd file(::openat(directory.raw(), name.c_str(),
                           O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_RDONLY, 0644));
    if (!file) return fail_errno("create {}", name);
    return {};
}

/// `name` exists but leads nowhere: it is a link to something that is not there yet.
Result<Fd> make_link_target(FdView root, FdView directory, const Split& at, Target kind,
                            int links) {
    const auto target = read_link(directory, at.name);
    // Not a link: somebody made it between our two looks, so look again.
    if (!target) return sys::open_in_root(root, at.directory + "/" + at.name, O_PATH);
    const bool absolute = target->starts_with('/');
    return make_at(root, clean_path(absolute ? *target : at.directory + "/" + *target), kind,
                   links + 1);
}

Result<Fd> make_at(FdView root, const std::string& path, Target kind, int links) {
    if (links > most_links)
        return fail(ErrorKind::invalid, "{}: too many levels of symbolic links", path)
            .with_number(ELOOP);
    auto there = sys::open_in_root(root, path, O_PATH);
    if (there || there.error().number() != ENOENT) return there;
    const Split at = split_path(path);
    if (at.name.empty()) return there;
    const Fd directory = TRY(make_at(root, at.directory, Target::directory, links));
    const auto made = make_entry(directory, at.name, kind);
    if (made) return sys::open_at(directory, at.name, O_PATH | O_NOFOLLOW);
    if (made.error().number() != EEXIST) return made.error();
    return make_link_target(root, directory, at, kind, links);
}

}  // namespace

Result<Fd> open_or_make(FdView root, const std::string& path, Target kind) {
    // The common case first: what is there needs no cleaning, the kernel resolves it.
    auto there = sys::open_in_root(root, path, O_PATH);
    if (there || there.error().number() != ENOENT) return there;
    return make_at(root, clean_path(path), kind, 0);
}

Result<Fd> open_if_there(FdView root, const std::string& path) {
    auto there = sys::open_in_root(root, path, O_PATH);
    const int number = there ? 0 : there.error().number();
    if (number == ENOENT || number == ENOTDIR) return Fd();
    return there;
}

Split split_path(const std::string& path) {
    std::string_view rest = path;
    while (rest.size() > 1 && rest.ends_with('/')) rest.remove_suffix(1);
    const auto slash = rest.rfind('/');
    if (slash == rest.npos) return {"/", std::string(rest)};
    const auto name = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
    while (rest.size() > 1 && rest.ends_with('/')) rest.remove_suffix(1);
    return {rest.empty() ? "/" : std::string(rest), std::string(name)};
}

std::string clean_path(const std::string& path) {
    std::vector<std::string> kept;
    for (auto& part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..")
            kept.push_back(std::move(part));
        else if (!kept.empty())
            kept.pop_back();
    }
    return "/" + join(kept, "/");
}

namespace {

Result<struct ::stat> status_of(FdView fd) {
    struct ::stat info{};
    if (::fstat(fd.raw(), &info) < 0) return fail_errno("stat");
    return info;
}

}  // namespace

Result<bool> is_on(FdView fd, long magic) {
    struct statfs info{};
    if (::fstatfs(fd.raw(), &info) < 0) return fail_errno("statfs");
    return info.f_type == magic;
}

Result<bool> is_root_of(FdView fd, long magic) {
    return TRY(is_on(fd, magic)) && TRY(status_of(fd)).st_ino == 1;
}

Result<bool> is_directory(FdView fd) {
    return S_ISDIR(TRY(status_of(fd)).st_mode);
}

}  // namespace corten::runtime
