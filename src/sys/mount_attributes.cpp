#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/mount_words.hpp>
#include <sys/mountinfo.hpp>
#include <sys/resolve.hpp>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <set>

namespace corten::sys {
namespace {

/// For Linux before 5.12, which changes attached mounts only, by path and one by one.
class Remounter {
public:
    static Result<Remounter> open() {
        Remounter self;
        self.before_ = TRY(sys::open(".", O_PATH | O_DIRECTORY));
        // Of our own, as the container's root may have anything at /proc. Who may not make one, in
        // a user namespace, still has the host's.
        const auto context = TRY(FileSystemContext::open("proc"));
        auto proc = context.mount(0);
        if (!proc && proc.error().number() == EPERM) proc = open_proc();
        self.proc_ = TRY(std::move(proc));
        return self;
    }
    Remounter(Remounter&&) = default;
    ~Remounter() {
        if (before_) (void)!::fchdir(before_.raw());
    }

    Result<void> change(FdView mount, const MountAttributes& attributes, Depth depth) {
        if (attributes.user_namespace.valid())
            return fail(ErrorKind::unsupported, "id-mapped mounts need Linux 5.12");
        if (attributes.set != 0 || attributes.clear != 0) {
            TRY(change_one(mount, attributes));
            if (depth == Depth::recursive) TRY(change_below(mount, attributes));
        }
        if (attributes.propagation == 0) return {};
        return remount(mount, attributes.propagation | (depth == Depth::recursive ? MS_REC : 0UL));
    }

private:
    Remounter() = default;

    static Result<Fd> open_proc() {
        Fd proc = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
        struct statfs info{};
        if (::fstatfs(proc.raw(), &info) < 0) return fail_errno("/proc");
        if (info.f_type != PROC_SUPER_MAGIC) return fail(ErrorKind::corrupt, "/proc is not procfs");
        return proc;
    }

    Result<void> remount(FdView mount, unsigned long flags) {
        if (::fchdir(proc_.raw()) < 0) return fail_errno("enter procfs");
        const auto path = fmt::format("self/fd/{}", mount.raw());
        if (::mount(nullptr, path.c_str(), nullptr, flags, nullptr) < 0)
            return fail_errno("change a mount without mount_setattr (Linux 5.12)");
        return {};
    }

    /// What the mount is, with the change: mount(2) sets all anew.
    Result<void> change_one(FdView mount, const MountAttributes& attributes) {
        struct statvfs info{};
        if (::fstatvfs(mount.raw(), &info) < 0) return fail_errno("statvfs");
        constexpr std::pair<unsigned long, unsigned long> current[] = {
            {ST_RDONLY, MS_RDONLY},    {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},
            {ST_NOEXEC, MS_NOEXEC},    {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME},
            {ST_RELATIME, MS_RELATIME}};
        unsigned long flags = 0;
        for (const auto& [there, flag] : current)
            if ((info.f_flag & there) != 0) flags |= flag;
        flags &= ~flags_of_attributes(attributes.clear);
        if ((attributes.clear & MOUNT_ATTR__ATIME) == MOUNT_ATTR__ATIME) {
            flags &= ~static_cast<unsigned long>(MS_NOATIME | MS_RELATIME);
            if ((attributes.set & MOUNT_ATTR__ATIME) == MOUNT_ATTR_RELATIME) flags |= MS_RELATIME;
        }
        flags |= flags_of_attributes(attributes.set);
        if ((flags & (MS_NOATIME | MS_RELATIME)) == 0) flags |= MS_STRICTATIME;
        return remount(mount, flags | MS_BIND | MS_REMOUNT);
    }

    Result<std::string> mount_id(FdView mount) const {
        const Fd file = TRY(open_at(proc_, fmt::format("self/fdinfo/{}", mount.raw()), O_RDONLY));
        for (const auto& line : split(TRY(read_all(file)), '\n')) {
            const auto [key, value] = split_once(line, ':');
            if (key == "mnt_id") return std::string(trim(value));
        }
        return fail(ErrorKind::corrupt, "fdinfo has no mnt_id");
    }

    /// proc(5), mountinfo: id, parent, device, root, place. Parents come before their children.
    Result<void> change_below(FdView mount, const MountAttributes& attributes) {
        const Fd file = TRY(open_at(proc_, "self/mountinfo", O_RDONLY));
        const auto top = TRY(mount_id(mount));
        std::set<std::string> ids{top};
        std::string base;
        const auto lines = split(TRY(read_all(file)), '\n');
        for (const auto& line : lines) {
            const auto fields = split(line, ' ');
            if (fields.size() > 4 && fields[0] == top) base = fields[4] == "/" ? "" : fields[4];
        }
        for (const auto& line : lines) {
            const auto fields = split(line, ' ');
            if (fields.size() < 5 || !ids.contains(fields[1]) || !ids.insert(fields[0]).second)
                continue;
            const auto place = mountinfo_unescaped(fields[4].substr(base.size() + 1));
            const Fd below =
                TRY(open_resolved(mount, place, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
            if (TRY(mount_id(below)) != fields[0])
                return fail(ErrorKind::unsupported,
                            "{} is mounted more than once: Linux before 5.12 cannot change it",
                            fields[4]);
            TRY(change_one(below, attributes));
        }
        return {};
    }

    Fd before_;
    Fd proc_;
};

}  // namespace

Result<void> set_mount_attributes(FdView mount, const MountAttributes& attributes, Depth depth) {
    struct mount_attr attr{};
    attr.attr_set = attributes.set;
    attr.attr_clr = attributes.clear;
    attr.propagation = attributes.propagation;
    if (attributes.user_namespace.valid())
        attr.userns_fd = static_cast<std::uint64_t>(attributes.user_namespace.raw());
    const unsigned flags = AT_EMPTY_PATH | (depth == Depth::recursive ? AT_RECURSIVE : 0U);
    if (::mount_setattr(mount.raw(), "", flags, &attr, sizeof attr) == 0) return {};
    if (errno != ENOSYS) return fail_errno("mount_setattr");
    return TRY(Remounter::open()).change(mount, attributes, depth);
}

}  // namespace corten::sys
