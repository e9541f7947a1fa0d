#pragma once
// Tar archives for `cp`: of a tree on this machine, and into one. The codec is libarchive's; the
// file system side is here, so that nothing is written outside the target directory whatever an
// archive says.
#include <base/result.hpp>
#include <base/stream.hpp>

#include <string>

namespace corten::cli {

/// The archive of `path` (a file, symlink or directory), whose top entry is called `name`; "." puts
/// the directory's content at the top. Files are read as the archive is read.
Result<ByteSource> tar_of(const std::string& path, const std::string& name);

struct UntarOptions {
    bool keep_owner = false;  ///< user and group as the archive has them, else the caller's
};

/// Unpacks an archive into an existing directory. Its top entry becomes `name` ("." drops the top
/// component). Symlinks in the directory are not followed.
Result<void> untar(const ByteSource& source, const std::string& directory, const std::string& name,
                   const UntarOptions& options);

}  // namespace corten::cli
