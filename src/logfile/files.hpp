#pragma once
// The names of a log and its rotated predecessors: path, path.1 (the latest) ... path.N.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <string>
#include <vector>

namespace corten::logfile {

std::string rotated_path(const std::string& path, int number);

struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
};

struct OpenFile {
    Fd fd;
    FileId id;
};

/// The file at this path, or one with an invalid descriptor when there is none.
Result<OpenFile> open_existing(const std::string& path);
Result<std::int64_t> size_of(FdView file);

/// All that exist, oldest first. Safe while the writer rotates.
Result<std::vector<OpenFile>> open_all(const std::string& path);

/// The file that the writer began after the one with this id; invalid while that one is still the
/// current one. When it was deleted meanwhile: the oldest that is left.
Result<OpenFile> open_successor(const std::string& path, FileId id);

}  // namespace corten::logfile
