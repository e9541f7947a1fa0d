// linux.maskedPaths and linux.readonlyPaths. In the new process, after pivot_root: `root` is "/".
#include "root.hpp"
#include "rootfs.hpp"

#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

namespace corten::runtime {
namespace {

/// The mounts that hide paths: made when first needed, copied afterwards, so that hiding ten
/// directories makes one file system.
class Mask {
public:
    Mask(Fd null_mount, std::string label)
        : null_(std::move(null_mount)), label_(std::move(label)) {}

    Result<void> hide(FdView path) {
        if (TRY(is_directory(path)))
            return hide_with(directory_, path, [this] { return make_directory(); });
        const bool first = !file_;
        TRY(hide_with(file_, path, [this]() -> Result<Fd> { return std::move(null_); }));
        return first ? make_null_safe() : Result<void>();
    }

private:
    template <typename Make>
    Result<void> hide_with(Fd& model, FdView path, Make make) {
        // The first mask is attached itself: copies may only be made of what is in our namespace.
        Fd mount = model ? TRY(sys::clone_mount(model, "", sys::Depth::single)) : TRY(make());
        TRY(sys::attach_mount(mount, path));
        if (!model) model = std::move(mount);
        return {};
    }
    /// Read-only, so that nobody changes the mode of the host's node through it. Copies are as it
    /// is.
    Result<void> make_null_safe() const {
        return sys::set_mount_attributes(
            file_,
            {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
             .propagation = MS_PRIVATE},
            sys::Depth::single);
    }
    Result<Fd> make_directory() const {
        const auto context = TRY(sys::FileSystemContext::open("tmpfs"));
        TRY(context.set("size", "0"));
        TRY(context.set("nr_inodes", "2"));
        TRY(label_file_system(context, label_));
        return context.mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                             MOUNT_ATTR_NOEXEC);
    }
    Fd null_;
    std::string label_;
    Fd directory_;
    Fd file_;
};

Result<void> make_read_only(FdView path) {
    const Fd tree = TRY(sys::clone_mount(path, "", sys::Depth::recursive));
    TRY(sys::attach_mount(tree, path));
    return sys::set_mount_attributes(tree, {.set = MOUNT_ATTR_RDONLY}, sys::Depth::recursive);
}

/// Finds paths. Those in /proc and /sys are looked up below what was mounted there, not by the
/// directory's name: if it led elsewhere by now there would be nothing to hide, and later it could
/// lead back (CVE-2019-19921).
class Finder {
public:
    Finder(FdView root, const std::vector<MountPlan>& mounts) : root_(root), mounts_(mounts) {}

    /// Invalid when there is nothing.
    Result<Fd> find(const std::string& path) {
        const auto clean = clean_path(path);
        for (Tree& tree : trees_)
            if (clean == tree.place || clean.starts_with(fmt::format("{}/", tree.place)))
                if (TRY(open(tree))) return open_if_there(tree.fd, clean.substr(tree.place.size()));
        return open_if_there(root_, path);
    }

private:
    struct Tree {
        std::string_view place;
        std::string_view type;
        long magic;
        Fd fd;
    };

    /// False when none of the kind was mounted.
    Result<bool> open(Tree& tree) {
        if (tree.fd) return true;
        const bool mounted = std::ranges::any_of(mounts_, [&](const MountPlan& mount) {
            return mount.type == tree.type && clean_path(mount.destination) == tree.place;
        });
        if (!mounted) return false;
        tree.fd = TRY(open_if_there(root_, std::string(tree.place)));
        if (!tree.fd || !TRY(is_root_of(tree.fd, tree.magic)))
            return fail(ErrorKind::conflict, "{} is no longer what was mounted there", tree.place);
        return true;
    }

    FdView root_;
    const std::vector<MountPlan>& mounts_;
    std::array<Tree, 2> trees_{Tree{"/proc", "proc", PROC_SUPER_MAGIC, {}},
                               Tree{"/sys", "sysfs", SYSFS_MAGIC, {}}};
};

}  // namespace

/// The host's device, verified: the container's own could be anything by now (CVE-2025-31133).
Result<Fd> null_mount() {
    const Fd device = TRY(sys::open("/dev/null", O_PATH | O_NOFOLLOW));
    struct ::stat info{};
    if (::fstat(device.raw(), &info) < 0) return fail_errno("/dev/null");
    if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))
        return fail(ErrorKind::corrupt, "/dev/null of the host is not the null device");
    return sys::clone_mount(device, "", sys::Depth::single);
}

Result<void> protect_paths(FdView root, LaunchPlan& plan) {
    Finder finder(root, plan.mounts);
    for (const auto& path : plan.spec.linux_section.readonly_paths) {
        const Fd at = TRY(finder.find(path).context("linux.readonlyPaths"));
        if (at) TRY(make_read_only(at).context(fmt::format("linux.readonlyPaths: {}", path)));
    }
    Mask mask(std::move(plan.null_mount), plan.spec.linux_section.mount_label);
    std::set<std::string> masked;
    for (const auto& path : plan.spec.linux_section.masked_paths) {
        if (!masked.insert(clean_path(path)).second) continue;
        const Fd at = TRY(finder.find(path).context("linux.maskedPaths"));
        if (at) TRY(mask.hide(at).context(fmt::format("linux.maskedPaths: {}", path)));
    }
    return {};
}

}  // namespace corten::runtime
