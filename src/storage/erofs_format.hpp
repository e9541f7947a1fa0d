#pragma once
// The parts of EROFS' format that we write: Documentation/filesystems/erofs.rst and
// fs/erofs/erofs_fs.h of Linux. All numbers are little-endian.
#include <bit>
#include <cstddef>
#include <cstdint>

namespace corten::storage::erofs {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t magic = 0xe0f5e1e2;
constexpr std::uint64_t super_offset = 1024;
constexpr unsigned block_bits = 12;
constexpr std::uint64_t block_size = 1 << block_bits;
constexpr std::uint64_t slot_size = 32;  ///< an inode's number is its address in slots

constexpr std::uint32_t compatible_checksum = 1;
constexpr std::uint32_t compatible_mtime = 2;
constexpr std::uint32_t incompatible_chunks = 4;

struct SuperBlock {
    std::uint32_t magic_number = magic;
    std::uint32_t checksum = 0;
    std::uint32_t compatible_features = compatible_checksum | compatible_mtime;
    std::uint8_t block_size_bits = block_bits;
    std::uint8_t extension_slots = 0;
    std::uint16_t root = 0;
    std::uint64_t inodes = 0;
    std::uint64_t build_time = 0;
    std::uint32_t build_time_nanoseconds = 0;
    std::uint32_t blocks = 0;
    std::uint32_t metadata_block = 0;
    std::uint32_t xattr_block = 0;
    std::uint8_t uuid[16] = {};
    std::uint8_t volume_name[16] = {};
    std::uint32_t incompatible_features = 0;
    std::uint8_t unused[44] = {};
};
static_assert(sizeof(SuperBlock) == 128);

enum class Layout : std::uint16_t {
    plain = 0,    ///< whole blocks from one address on
    in_line = 2,  ///< the same, but what does not fill a block stands behind the inode
    chunks = 4    ///< an address for each chunk, behind the inode
};

struct InodeHeader {
    std::uint16_t format = 0;
    std::uint16_t xattr_count = 0;
    std::uint16_t mode = 0;
    std::uint16_t unused = 0;
    std::uint64_t size = 0;
    std::uint32_t where = 0;  ///< first block, device number or chunk format
    std::uint32_t number = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int64_t mtime = 0;
    std::uint32_t mtime_nanoseconds = 0;
    std::uint32_t links = 1;
    std::uint8_t unused_end[16] = {};
};
static_assert(sizeof(InodeHeader) == 64);
static_assert(offsetof(InodeHeader, links) == 44);

constexpr std::uint16_t inode_format(Layout layout) {
    return static_cast<std::uint16_t>(1 | static_cast<std::uint16_t>(layout) << 1);
}

constexpr std::uint32_t no_block = 0xffffffff;  ///< address of a chunk that is a hole
constexpr unsigned chunk_bits_limit = 31;

struct XattrHeader {
    std::uint32_t name_filter = 0;
    std::uint8_t shared_count = 0;
    std::uint8_t unused[7] = {};
};
static_assert(sizeof(XattrHeader) == 12);

struct XattrEntry {
    std::uint8_t name_size = 0;
    std::uint8_t prefix = 0;
    std::uint16_t value_size = 0;
};
static_assert(sizeof(XattrEntry) == 4);

/// Entries stand at a directory block's start, their names behind them, sorted by bytes.
struct __attribute__((packed)) DirectoryEntry {
    std::uint64_t inode = 0;
    std::uint16_t name_offset = 0;
    std::uint8_t type = 0;
    std::uint8_t unused = 0;
};
static_assert(sizeof(DirectoryEntry) == 12);

enum class FileType : std::uint8_t {
    file = 1,
    directory = 2,
    character_device = 3,
    block_device = 4,
    fifo = 5,
    symlink = 7
};

}  // namespace corten::storage::erofs
