#pragma once
// Detached, read-only mounts of EROFS images.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/driver.hpp>

#include <string>

namespace corten::storage {

/// Mounts the image at `path`. `unsupported` when the kernel has no EROFS, or (ErofsMount::file)
/// cannot mount it from a file.
Result<Fd> mount_erofs(const std::string& path, ErofsMount method);

}  // namespace corten::storage
