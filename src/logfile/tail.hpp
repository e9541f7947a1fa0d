#pragma once
#include "files.hpp"

#include <base/result.hpp>

#include <cstdint>
#include <vector>

namespace corten::logfile {

struct TailPosition {
    std::size_t file = 0;
    std::int64_t offset = 0;
};

/// Where the last `lines` lines of these files (oldest first) begin. A last line without its line
/// feed is not counted: it is still being written.
Result<TailPosition> find_tail(const std::vector<OpenFile>& files, std::int64_t lines);

}  // namespace corten::logfile
