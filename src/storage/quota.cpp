#include <storage/quota.hpp>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <unistd.h>

#include <random>

namespace corten::storage {

namespace {

constexpr std::uint64_t quota_block = 1024;  // QIF_DQBLKSIZE: the unit of the limits
constexpr int most_tries = 64;

/// quotactl(2) on the file system that `fd` lies on; no device is named.
int project_quota(FdView fd, unsigned command, std::uint32_t project, void* data) {
    return static_cast<int>(
        ::syscall(SYS_quotactl_fd, fd.raw(), QCMD(command, PRJQUOTA), project, data));
}

bool enforces_limits(FdView fd) {
    fs_quota_stat state{};
    state.qs_version = FS_QSTAT_VERSION;
    return project_quota(fd, Q_XGETQSTAT, 0, &state) == 0 &&
           (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

/// A number that no limit and no file uses.
Result<std::uint32_t> unused_project(FdView fd) {
    std::random_device random;
    for (int attempt = 0; attempt < most_tries; ++attempt) {
        // The upper half: people number their projects from 1.
        const std::uint32_t project = 0x40000000U | (random() & 0x3fffffffU);
        if_dqblk use{};
        if (project_quota(fd, Q_GETQUOTA, project, &use) < 0 && errno != ENOENT)
            return fail_errno("read project quota {}", project);
        if (use.dqb_bhardlimit == 0 && use.dqb_curspace == 0 && use.dqb_curinodes == 0)
            return project;
    }
    return fail(ErrorKind::internal, "found no free project number for a quota");
}

Result<void> set_limit(FdView fd, std::uint32_t project, std::uint64_t blocks) {
    if_dqblk limit{};
    limit.dqb_bhardlimit = blocks;
    limit.dqb_bsoftlimit = blocks;
    limit.dqb_valid = QIF_BLIMITS;
    if (project_quota(fd, Q_SETQUOTA, project, &limit) < 0)
        return fail_errno("set project quota {}", project);
    return {};
}

}  // namespace

Result<void> limit_space(FdView directory, std::uint64_t bytes) {
    if (!enforces_limits(directory))
        return fail(ErrorKind::unsupported,
                    "a size cannot be set: the file system enforces no project quotas; wanted xfs, "
                    "or ext4 with the features quota and project (tune2fs -O quota,project), "
                    "mounted with the option prjquota");
    fsxattr attributes{};
    if (::ioctl(directory.raw(), FS_IOC_FSGETXATTR, &attributes) < 0)
        return fail_errno("read the project of a directory");
    const std::uint32_t project = TRY(unused_project(directory));
    TRY(set_limit(directory, project, (bytes + quota_block - 1) / quota_block));
    attributes.fsx_projid = project;
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (::ioctl(directory.raw(), FS_IOC_FSSETXATTR, &attributes) < 0) {
        Error error = fail_errno("set the project of a directory");
        set_limit(directory, project, 0).ignore();
        return error;
    }
    return {};
}

Result<void> lift_limit(FdView directory) {
    fsxattr attributes{};
    // Other file systems have no projects at all.
    if (::ioctl(directory.raw(), FS_IOC_FSGETXATTR, &attributes) < 0) return {};
    if (attributes.fsx_projid == 0) return {};
    return set_limit(directory, attributes.fsx_projid, 0);
}

}  // namespace corten::storage
