#include "files.hpp"

#include <sys/file.hpp>

#include <fcntl.h>

#include <algorithm>

namespace corten::logfile {

std::string rotated_path(const std::string& path, int number) {
    return number == 0 ? path : fmt::format("{}.{}", path, number);
}

Result<OpenFile> open_existing(const std::string& path) {
    auto fd = sys::open(path, O_RDONLY);
    if (!fd) {
        if (fd.error().kind() == ErrorKind::not_found) return OpenFile{};
        return std::move(fd).error();
    }
    struct ::stat info{};
    if (::fstat(fd->raw(), &info) < 0) return fail_errno("stat {}", path);
    return OpenFile{std::move(*fd), {info.st_dev, info.st_ino}};
}

Result<std::int64_t> size_of(FdView file) {
    struct ::stat info{};
    if (::fstat(file.raw(), &info) < 0) return fail_errno("stat a log file");
    return info.st_size;
}

namespace {

/// Newest first. A rotation meanwhile moves files to higher numbers, so none is missed and one may
/// be met twice, which its id shows. One missing number is passed over: in the middle of a
/// rotation there is such a gap.
Result<std::vector<OpenFile>> open_newest_first(const std::string& path) {
    std::vector<OpenFile> files;
    for (int number = 0, missing = 0; missing < 2; ++number) {
        OpenFile file = TRY(open_existing(rotated_path(path, number)));
        missing = file.fd ? 0 : missing + 1;
        if (!file.fd || std::ranges::find(files, file.id, &OpenFile::id) != files.end()) continue;
        files.push_back(std::move(file));
    }
    return files;
}

}  // namespace

Result<std::vector<OpenFile>> open_all(const std::string& path) {
    auto files = TRY(open_newest_first(path));
    std::ranges::reverse(files);
    return files;
}

Result<OpenFile> open_successor(const std::string& path, FileId id) {
    // Nearly always: it is the current file still.
    struct ::stat info{};
    if (::stat(path.c_str(), &info) == 0 && FileId{info.st_dev, info.st_ino} == id)
        return OpenFile{};
    auto files = TRY(open_newest_first(path));
    if (files.empty()) return OpenFile{};
    const auto own = std::ranges::find(files, id, &OpenFile::id);
    if (own == files.begin()) return OpenFile{};
    return std::move(*std::prev(own));
}

}  // namespace corten::logfile
