#pragma once
// Limits on the space of a directory tree: project quotas (ext4 made with the features quota and
// project, xfs; mounted with prjquota). Source: quotactl_fd(2), FS_IOC_FSSETXATTR of linux/fs.h.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <cstdint>

namespace corten::storage {

/// Everything that is made below `directory`, which must be empty and on a disk, takes at most
/// `bytes` of it; more is EDQUOT for who writes without CAP_SYS_RESOURCE. The limit stays over
/// restarts. `unsupported`, with what to do, where the file system enforces no project quotas.
Result<void> limit_space(FdView directory, std::uint64_t bytes);

/// Takes the limit away, so that its project number is free again. A directory without one is fine.
Result<void> lift_limit(FdView directory);

}  // namespace corten::storage
