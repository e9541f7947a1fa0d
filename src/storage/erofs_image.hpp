#pragma once
// Writes an EROFS image front to back in one pass: blocks of data as they come, and between them
// runs of metadata with the inodes of what is complete. Block 0, with the superblock and the root,
// comes last, so that an image that was not finished is none.
#include "erofs_format.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace corten::storage {

/// Gathers writes that follow each other. What lies between others stays a hole in the file.
class GatheredWriter {
public:
    /// Borrows `file`.
    GatheredWriter(FdView file, std::size_t capacity) : file_(file), capacity_(capacity) {}
    Result<void> write(std::uint64_t offset, std::string_view bytes);
    Result<void> flush();

private:
    std::uint64_t end() const { return start_ + buffer_.size(); }
    FdView file_;
    std::size_t capacity_;
    std::uint64_t start_ = 0;
    std::string buffer_;
};

struct ErofsInode {
    mode_t mode = 0;  ///< with the type, as st_mode
    uid_t uid = 0;
    gid_t gid = 0;
    timespec mtime{};
    std::uint64_t size = 0;
    std::uint32_t links = 1;
    std::string xattrs;  ///< see encode_erofs_xattrs()
};

/// The xattrs of an inode as they stand behind it; "" when there are none. What EROFS has no place
/// for is left out, as a file system without xattrs leaves all; `invalid` above 64 KiB in all.
using Xattrs = std::map<std::string, std::string>;
Result<std::string> encode_erofs_xattrs(const Xattrs& xattrs);

class ErofsImage {
public:
    using Number = std::uint64_t;                            ///< of an inode
    static constexpr std::uint64_t size_limit = 1ULL << 44;  ///< of an image and a file in it

    /// Borrows an empty file.
    explicit ErofsImage(FdView file);

    /// Space for `bytes` of data, written by write() before or after any other call.
    Result<std::uint32_t> reserve_blocks(std::uint64_t bytes);
    Result<void> write(std::uint32_t block, std::uint64_t offset, std::string_view bytes);

    /// True when content of this size is kept behind its inode.
    static bool fits_inline(const ErofsInode& inode);
    Result<Number> add_inline(const ErofsInode& inode, std::string_view content);
    Result<Number> add_plain(const ErofsInode& inode, std::uint32_t block);
    Result<Number> add_device(const ErofsInode& inode, unsigned major, unsigned minor);
    /// Content in chunks of block_size << bits; no_block for a hole.
    Result<Number> add_chunked(const ErofsInode& inode, unsigned bits,
                               const std::vector<std::uint32_t>& blocks);

    /// For directories, which name each other: a number first, the content later in the same order.
    Result<Number> reserve_inode(const ErofsInode& inode);
    Result<void> put_inline(Number number, const ErofsInode& inode, std::string_view content);
    Result<void> put_plain(Number number, const ErofsInode& inode, std::uint32_t block);

    static constexpr Number root_number =
        (erofs::super_offset + sizeof(erofs::SuperBlock)) / erofs::slot_size;
    struct Links {
        Number inode;
        std::uint32_t links;
    };
    /// `links` says which inodes got further names after they were added.
    Result<void> finish(const ErofsInode& root, std::string_view root_content,
                        const std::vector<Links>& links);

private:
    Result<std::uint64_t> reserve(std::uint64_t bytes);
    Result<std::uint64_t> place(std::uint64_t size);
    std::string encode(const ErofsInode& inode, erofs::Layout layout, std::uint32_t where);
    Result<Number> add(const ErofsInode& inode, erofs::Layout layout, std::uint32_t where,
                       std::string_view tail = {});
    Result<void> write_block_zero(const ErofsInode& root, std::string_view content);

    FdView file_;
    GatheredWriter data_;
    GatheredWriter metadata_;
    std::uint64_t end_ = erofs::block_size;  ///< block 0 is the superblock's
    std::uint64_t metadata_at_ = 0;
    std::uint64_t metadata_end_ = 0;
    std::uint32_t inodes_ = 0;
    std::uint32_t features_ = 0;
};

}  // namespace corten::storage
