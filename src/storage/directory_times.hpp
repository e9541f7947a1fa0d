#pragma once
// The times that directories get when everything in them is made. An archive may have millions of
// directories: what takes more than a MiB waits in a file.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <ctime>
#include <functional>
#include <string>
#include <string_view>

namespace corten::storage {

class DirectoryTimes {
public:
    /// `place` (borrowed) is a directory for that file, which has no name there. Where it is not
    /// valid all of it must fit into memory.
    explicit DirectoryTimes(FdView place) : place_(place) {}

    Result<void> add(std::string_view path, timespec mtime);
    /// In the order in which they were added.
    using Visitor = std::function<Result<void>(const std::string& path, timespec mtime)>;
    Result<void> for_each(const Visitor& visit);

private:
    Result<void> spill();

    FdView place_;
    Fd file_;             ///< what came before `buffer_`, if anything
    std::string buffer_;  ///< one after the other: Head, path
};

}  // namespace corten::storage
