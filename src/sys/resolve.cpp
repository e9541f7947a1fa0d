#include <base/text.hpp>
#include <sys/resolve.hpp>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <iterator>

namespace corten::sys {
namespace {

/// Walks name by name and never lets the kernel follow a link. The way back is the descriptors that
/// were passed, so that ".." does not lead out whatever is renamed meanwhile.
class Walk {
public:
    Walk(FdView root, std::uint64_t resolve) : root_(root), resolve_(resolve) {}

    Result<Fd> open(const std::string& path, int flags, mode_t mode) {
        if (path.empty()) return fail_with(ENOENT);
        TRY(push(path));
        while (!names_.empty()) {
            const std::string name = std::move(names_.back());
            names_.pop_back();
            if (name.empty() || name == ".") continue;
            if (name == "..") {
                TRY(go_up());
                continue;
            }
            const bool last = std::ranges::all_of(names_, &std::string::empty);
            // "file/" and "link/" mean a directory.
            const int wanted = names_.empty() ? flags : (flags & ~O_NOFOLLOW) | O_DIRECTORY;
            Fd found = TRY(step(name, last ? wanted : O_PATH | O_DIRECTORY, mode));
            if (!found) continue;  // a link: its target is ahead
            TRY(check_device(found));
            if (last) return found;
            passed_.push_back(std::move(found));
        }
        Fd here(::openat(at().raw(), ".", flags | O_CLOEXEC));
        if (!here) return fail_with(errno);
        return here;
    }

private:
    static Error fail_with(int number) { return Error::from_errno(number, "resolve"); }
    FdView at() const { return passed_.empty() ? root_ : FdView(passed_.back()); }

    /// The names of a path or of a link's target are what comes next.
    Result<void> push(const std::string& path) {
        if (path.starts_with('/')) {
            if ((resolve_ & RESOLVE_BENEATH) != 0) return fail_with(EXDEV);
            passed_.clear();
        }
        auto names = split(path, '/');
        std::ranges::reverse(names);
        std::ranges::move(names, std::back_inserter(names_));
        return {};
    }

    Result<void> go_up() {
        if (!passed_.empty())
            passed_.pop_back();
        else if ((resolve_ & RESOLVE_BENEATH) != 0)
            return fail_with(EXDEV);
        return {};
    }

    /// Invalid when `name` is a link that was followed.
    Result<Fd> step(const std::string& name, int flags, mode_t mode) {
        constexpr int new_one = O_CREAT | O_EXCL;
        const bool follows = (flags & O_NOFOLLOW) == 0 && (flags & new_one) != new_one;
        if (follows && TRY(follow(name))) return Fd();
        Fd found(::openat(at().raw(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
        if (!found) return fail_with(errno);
        struct ::stat info{};
        if (::fstat(found.raw(), &info) < 0) return fail_with(errno);
        // O_PATH opens links too: it has come between our two looks.
        if (follows && S_ISLNK(info.st_mode)) return fail_with(ELOOP);
        return found;
    }

    /// False when it is no link, or not there.
    Result<bool> follow(const std::string& name) {
        char target[PATH_MAX];
        const ssize_t n = ::readlinkat(at().raw(), name.c_str(), target, sizeof target);
        if (n < 0 && (errno == EINVAL || errno == ENOENT)) return false;
        if (n < 0) return fail_with(errno);
        const std::string text(target, static_cast<std::size_t>(n));
        if ((resolve_ & RESOLVE_NO_SYMLINKS) != 0 || ++followed_ > most_links ||
            TRY(is_magic(text)))
            return fail_with(ELOOP);
        TRY(push(text));
        return true;
    }

    /// In procfs, links that are no more than their text are relative, and name files of it.
    Result<bool> is_magic(std::string_view target) const {
        struct statfs info{};
        if (::fstatfs(at().raw(), &info) < 0) return fail_with(errno);
        return info.f_type == PROC_SUPER_MAGIC &&
               (target.starts_with('/') || target.find(':') != target.npos);
    }

    Result<void> check_device(FdView found) const {
        if ((resolve_ & RESOLVE_NO_XDEV) == 0) return {};
        struct ::stat there{}, root{};
        if (::fstat(found.raw(), &there) < 0 || ::fstat(root_.raw(), &root) < 0)
            return fail_with(errno);
        if (there.st_dev != root.st_dev) return fail_with(EXDEV);
        return {};
    }

    static constexpr int most_links = 40;  // the kernel's own bound for one path
    FdView root_;
    std::uint64_t resolve_;
    std::vector<Fd> passed_;
    std::vector<std::string> names_;  ///< the next one last
    int followed_ = 0;
};

}  // namespace

Result<Fd> open_resolved(FdView root, const std::string& path, int flags, mode_t mode,
                         std::uint64_t resolve) {
    struct open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
    how.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0;
    how.resolve = resolve;
    for (int attempt = 0;; ++attempt) {
        Fd fd(static_cast<int>(::syscall(SYS_openat2, root.raw(), path.c_str(), &how, sizeof how)));
        if (fd) return fd;
        if (errno == ENOSYS) break;
        // The kernel answers EAGAIN when a rename raced with "..": try again, but not for ever.
        if (errno != EAGAIN || attempt == 64)
            return fail_errno("open {}", std::string_view(path).substr(0, 200));
    }
    auto walked = Walk(root, resolve).open(path, flags, mode);
    if (walked) return walked;
    return Error::from_errno(walked.error().number(),
                             fmt::format("open {}", std::string_view(path).substr(0, 200)));
}

}  // namespace corten::sys
