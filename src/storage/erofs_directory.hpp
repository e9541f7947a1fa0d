#pragma once
// The content of a directory in an EROFS image: blocks of entries with the names behind them, the
// last one as long as it needs to be.
#include "erofs_format.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace corten::storage {

struct ErofsDirectoryItem {
    std::string_view name;
    std::uint64_t number = 0;  ///< of its inode
    erofs::FileType type = erofs::FileType::file;
};

/// `items` are sorted by bytes, with "." and ".." among them. The size does not depend on numbers.
std::uint64_t erofs_directory_size(std::span<const ErofsDirectoryItem> items);
std::string erofs_directory_content(std::span<const ErofsDirectoryItem> items);

}  // namespace corten::storage
