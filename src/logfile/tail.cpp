#include "tail.hpp"

#include <unistd.h>

#include <string>

namespace corten::logfile {

namespace {

constexpr std::int64_t block_size = 64 << 10;

/// Looks for the line feed before the last `lines` ones, going backwards. Gives the offset after
/// it, or nullopt with `lines` lowered by what this file has.
Result<std::optional<std::int64_t>> find_in_file(FdView file, std::int64_t& lines) {
    std::string block;
    std::int64_t end = TRY(size_of(file));
    while (end > 0) {
        const std::int64_t begin = std::max<std::int64_t>(0, end - block_size);
        block.resize(static_cast<std::size_t>(end - begin));
        const ssize_t got = ::pread(file.raw(), block.data(), block.size(), begin);
        if (got < 0) return fail_errno("read a log file");
        for (auto at = got - 1; at >= 0; --at) {
            if (block[static_cast<std::size_t>(at)] != '\n') continue;
            if (lines == 0) return std::optional(begin + at + 1);
            --lines;
        }
        end = begin;
    }
    return std::optional<std::int64_t>();
}

}  // namespace

Result<TailPosition> find_tail(const std::vector<OpenFile>& files, std::int64_t lines) {
    for (std::size_t left = files.size(); left > 0; --left) {
        const auto offset = TRY(find_in_file(files[left - 1].fd, lines));
        if (offset) return TailPosition{left - 1, *offset};
    }
    return TailPosition{};
}

}  // namespace corten::logfile
