#include "erofs_image.hpp"

#include <sys/random.h>
#include <sys/stat.h>

#include <isa-l/crc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace corten::storage {

using erofs::block_size;
using erofs::Layout;

namespace {

constexpr std::size_t data_buffer = 256 << 10;
constexpr std::uint64_t metadata_run = 64 << 10;
constexpr std::size_t xattr_limit = 64 << 10;
// Half a block: what is larger would leave more of a block unused than it saves.
constexpr std::size_t inline_limit = 2048;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

template <typename T>
std::string_view bytes_of(const T& object) {
    return {reinterpret_cast<const char*>(&object), sizeof object};
}

Result<void> write_at(FdView file, std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n =
            ::pwrite(file.raw(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("write the image");
        bytes.remove_prefix(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

}  // namespace

Result<void> GatheredWriter::write(std::uint64_t offset, std::string_view bytes) {
    // The rest of a block is filled; nobody else writes there.
    if (offset > end() && offset - end() < block_size) buffer_.resize(offset - start_, '\0');
    if (offset != end()) {
        TRY(flush());
        start_ = offset;
    }
    if (buffer_.size() + bytes.size() > capacity_) TRY(flush());
    if (bytes.size() >= capacity_) {
        TRY(write_at(file_, offset, bytes));
        start_ = offset + bytes.size();
        return {};
    }
    buffer_.append(bytes);
    return {};
}

Result<void> GatheredWriter::flush() {
    TRY(write_at(file_, start_, buffer_));
    start_ = end();
    buffer_.clear();
    return {};
}

// --- xattrs --------------------------------------------------------------------------------------

namespace {

struct XattrPrefix {
    std::string_view text;
    std::uint8_t index;
};
constexpr XattrPrefix xattr_prefixes[] = {{"user.", 1},
                                          {"system.posix_acl_access", 2},
                                          {"system.posix_acl_default", 3},
                                          {"trusted.", 4},
                                          {"security.", 6}};

/// The prefix that stands for the name's start: an ACL's is the whole name, the others' are not.
const XattrPrefix* prefix_of(std::string_view name) {
    for (const XattrPrefix& prefix : xattr_prefixes)
        if (name.starts_with(prefix.text) && (name == prefix.text) == !prefix.text.ends_with('.'))
            return &prefix;
    return nullptr;
}

/// A version, and entries of eight bytes. False for another version than the kernel's, which a file
/// system has no support for.
Result<bool> is_acl(std::string_view value) {
    constexpr std::string_view version("\2\0\0\0", 4);
    if (value.size() < version.size()) return Error::from_errno(EINVAL, "an ACL");
    if (!value.starts_with(version)) return false;
    if (value.size() % 8 != version.size()) return Error::from_errno(EINVAL, "an ACL");
    return true;
}

Result<void> append_xattr(std::string& out, std::string_view name, std::string_view value) {
    const XattrPrefix* prefix = prefix_of(name);
    if (!prefix) return {};
    const std::string_view rest = name.substr(prefix->text.size());
    // As setxattr(2) says it.
    if (name.size() > 255) return Error::from_errno(ERANGE, fmt::format("set {}", name));
    if (value.size() >= xattr_limit) return Error::from_errno(E2BIG, fmt::format("set {}", name));
    if (rest.empty() && !TRY(is_acl(value).context(name))) return {};
    const erofs::XattrEntry entry{static_cast<std::uint8_t>(rest.size()), prefix->index,
                                  static_cast<std::uint16_t>(value.size())};
    out.append(bytes_of(entry)).append(rest).append(value);
    out.resize(round_up(out.size(), sizeof entry), '\0');
    return {};
}

}  // namespace

Result<std::string> encode_erofs_xattrs(const Xattrs& xattrs) {
    std::string entries;
    for (const auto& [name, value] : xattrs) {
        TRY(append_xattr(entries, name, value));
        if (entries.size() > xattr_limit)
            return fail(ErrorKind::invalid, "its xattrs take more than {} bytes", xattr_limit);
    }
    if (entries.empty()) return entries;
    return std::string(bytes_of(erofs::XattrHeader{})) + entries;
}

// --- space ---------------------------------------------------------------------------------------

ErofsImage::ErofsImage(FdView file)
    : file_(file), data_(file, data_buffer), metadata_(file, metadata_run) {}

/// Whole blocks at the end; gives their address.
Result<std::uint64_t> ErofsImage::reserve(std::uint64_t bytes) {
    const std::uint64_t address = end_;
    if (bytes > size_limit - block_size ||
        round_up(bytes, block_size) > size_limit - block_size - end_)
        return Error::from_errno(EFBIG, "a layer's image");
    end_ += round_up(bytes, block_size);
    return address;
}

Result<std::uint32_t> ErofsImage::reserve_blocks(std::uint64_t bytes) {
    return static_cast<std::uint32_t>(TRY(reserve(bytes)) / block_size);
}

Result<void> ErofsImage::write(std::uint32_t block, std::uint64_t offset, std::string_view bytes) {
    return data_.write(block * block_size + offset, bytes);
}

/// Address for an inode and what stands behind it. Within a block where that can be: the kernel
/// wants inline content so, and reads an inode that spans two of them in two steps.
Result<std::uint64_t> ErofsImage::place(std::uint64_t size) {
    std::uint64_t address = round_up(metadata_at_, erofs::slot_size);
    if (address % block_size + size > block_size) address = round_up(address, block_size);
    if (address + size > metadata_end_) {
        const std::uint64_t run = std::max(metadata_run, round_up(size, block_size));
        address = TRY(reserve(run));
        metadata_end_ = address + run;
    }
    metadata_at_ = address + size;
    return address;
}

// --- inodes --------------------------------------------------------------------------------------

std::string ErofsImage::encode(const ErofsInode& inode, Layout layout, std::uint32_t where) {
    erofs::InodeHeader header;
    header.format = erofs::inode_format(layout);
    if (!inode.xattrs.empty())
        header.xattr_count = static_cast<std::uint16_t>(
            (inode.xattrs.size() - sizeof(erofs::XattrHeader)) / sizeof(erofs::XattrEntry) + 1);
    header.mode = static_cast<std::uint16_t>(inode.mode);
    header.size = inode.size;
    header.where = where;
    header.number = ++inodes_;
    header.uid = inode.uid;
    header.gid = inode.gid;
    header.mtime = inode.mtime.tv_sec;
    header.mtime_nanoseconds = static_cast<std::uint32_t>(inode.mtime.tv_nsec);
    header.links = inode.links;
    return std::string(bytes_of(header)) + inode.xattrs;
}

Result<ErofsImage::Number> ErofsImage::add(const ErofsInode& inode, Layout layout,
                                           std::uint32_t where, std::string_view tail) {
    std::string bytes = encode(inode, layout, where);
    bytes += tail;
    const std::uint64_t address = TRY(place(bytes.size()));
    TRY(metadata_.write(address, bytes));
    return address / erofs::slot_size;
}

bool ErofsImage::fits_inline(const ErofsInode& inode) {
    return inode.size <= inline_limit &&
           sizeof(erofs::InodeHeader) + inode.xattrs.size() + inode.size <= inline_limit;
}

Result<ErofsImage::Number> ErofsImage::add_inline(const ErofsInode& inode,
                                                  std::string_view content) {
    return add(inode, content.empty() ? Layout::plain : Layout::in_line, 0, content);
}

Result<ErofsImage::Number> ErofsImage::add_plain(const ErofsInode& inode, std::uint32_t block) {
    return add(inode, Layout::plain, block);
}

/// Numbers as the kernel's new_encode_dev() packs them.
Result<ErofsImage::Number> ErofsImage::add_device(const ErofsInode& inode, unsigned major,
                                                  unsigned minor) {
    if (major > 0xfff || minor > 0xfffff) return Error::from_errno(EINVAL, "make device");
    return add(inode, Layout::plain, (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12);
}

Result<ErofsImage::Number> ErofsImage::add_chunked(const ErofsInode& inode, unsigned bits,
                                                   const std::vector<std::uint32_t>& blocks) {
    features_ |= erofs::incompatible_chunks;
    return add(inode, Layout::chunks, bits,
               {reinterpret_cast<const char*>(blocks.data()), blocks.size() * sizeof blocks[0]});
}

Result<ErofsImage::Number> ErofsImage::reserve_inode(const ErofsInode& inode) {
    const std::uint64_t content = fits_inline(inode) ? inode.size : 0;
    const std::uint64_t size = sizeof(erofs::InodeHeader) + inode.xattrs.size() + content;
    return TRY(place(size)) / erofs::slot_size;
}

Result<void> ErofsImage::put_inline(Number number, const ErofsInode& inode,
                                    std::string_view content) {
    return metadata_.write(number * erofs::slot_size,
                           encode(inode, Layout::in_line, 0) + std::string(content));
}

Result<void> ErofsImage::put_plain(Number number, const ErofsInode& inode, std::uint32_t block) {
    return metadata_.write(number * erofs::slot_size, encode(inode, Layout::plain, block));
}

// --- the end -------------------------------------------------------------------------------------

Result<void> ErofsImage::write_block_zero(const ErofsInode& root, std::string_view content) {
    std::string block(block_size, '\0');
    const std::string inode = encode(root, Layout::in_line, 0) + std::string(content);
    std::ranges::copy(inode, block.begin() + ErofsImage::root_number * erofs::slot_size);
    erofs::SuperBlock super;
    super.root = ErofsImage::root_number;
    super.inodes = inodes_;
    super.build_time = static_cast<std::uint64_t>(std::time(nullptr));
    super.blocks = static_cast<std::uint32_t>(end_ / block_size);
    super.incompatible_features = features_;
    if (::getrandom(super.uuid, sizeof super.uuid, 0) != sizeof super.uuid)
        return fail_errno("get random bytes");
    char* const place = block.data() + erofs::super_offset;
    std::memcpy(place, &super, sizeof super);
    super.checksum = ::crc32_iscsi(reinterpret_cast<unsigned char*>(place),
                                   static_cast<int>(block_size - erofs::super_offset), ~0U);
    std::memcpy(place, &super, sizeof super);
    return write_at(file_, 0, block);
}

Result<void> ErofsImage::finish(const ErofsInode& root, std::string_view root_content,
                                const std::vector<Links>& links) {
    TRY(data_.flush());
    TRY(metadata_.flush());
    for (const auto& [inode, count] : links)
        TRY(write_at(file_, inode * erofs::slot_size + offsetof(erofs::InodeHeader, links),
                     bytes_of(count)));
    if (::ftruncate(file_.raw(), static_cast<off_t>(end_)) < 0)
        return fail_errno("set the image's size");
    return write_block_zero(root, root_content);
}

}  // namespace corten::storage
