#include "erofs_reader.hpp"

#include <sys/stat.h>

#include <erofs_format.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace corten {

using namespace storage::erofs;

namespace {

void expect(bool so) {
    if (!so) std::abort();
}

template <typename T>
T part_of(std::string_view bytes, std::uint64_t offset = 0) {
    T part;
    expect(offset <= bytes.size() && sizeof part <= bytes.size() - offset);
    std::memcpy(&part, bytes.data() + offset, sizeof part);
    return part;
}

/// CRC-32C without the last inversion, bit by bit.
std::uint32_t crc32c(std::string_view bytes) {
    std::uint32_t crc = ~0U;
    for (const char byte : bytes) {
        crc ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return crc;
}

unsigned type_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return static_cast<unsigned>(FileType::file);
        case S_IFDIR:
            return static_cast<unsigned>(FileType::directory);
        case S_IFCHR:
            return static_cast<unsigned>(FileType::character_device);
        case S_IFBLK:
            return static_cast<unsigned>(FileType::block_device);
        case S_IFIFO:
            return static_cast<unsigned>(FileType::fifo);
        case S_IFLNK:
            return static_cast<unsigned>(FileType::symlink);
        default:
            std::abort();
    }
}

std::uint64_t blocks(std::uint64_t bytes) {
    return (bytes + block_size - 1) / block_size;
}

}  // namespace

ErofsReader::ErofsReader(FdView image, Visitor visitor)
    : image_(image), visitor_(std::move(visitor)) {
    struct ::stat info{};
    expect(::fstat(image.raw(), &info) == 0 && info.st_size % block_size == 0);
    size_ = static_cast<std::uint64_t>(info.st_size);
    check_super();
}

std::string ErofsReader::read(std::uint64_t offset, std::uint64_t size) const {
    expect(offset <= size_ && size <= size_ - offset);
    std::string bytes(size, '\0');
    expect(::pread(image_.raw(), bytes.data(), size, static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(size));
    return bytes;
}

void ErofsReader::check_super() {
    std::string block = read(super_offset, block_size - super_offset);
    auto super = part_of<SuperBlock>(block);
    expect(super.magic_number == magic && super.block_size_bits == block_bits);
    expect(super.extension_slots == 0 && super.metadata_block == 0);
    expect(super.blocks == size_ / block_size);
    inodes_ = super.inodes;
    const std::uint32_t checksum = std::exchange(super.checksum, 0);
    std::memcpy(block.data(), &super, sizeof super);
    expect(crc32c(block) == checksum);
    take(super_offset, super_offset + sizeof super, 0);
}

/// Every byte is one inode's; one with several names is read as often.
void ErofsReader::take(std::uint64_t begin, std::uint64_t end, std::uint64_t owner) {
    if (begin == end) return;
    expect(begin < end && end <= size_);
    const auto after = taken_.lower_bound(begin);
    if (after != taken_.end() && after->first == begin)
        return expect(after->second == Place{end, owner} && !directories_.contains(owner));
    expect(after == taken_.end() || end <= after->first);
    expect(after == taken_.begin() || std::prev(after)->second.end <= begin);
    taken_.emplace(begin, Place{end, owner});
}

ErofsReader::Inode ErofsReader::inode(std::uint64_t number) {
    const std::uint64_t address = number * slot_size;
    const auto header = part_of<InodeHeader>(read(address, sizeof(InodeHeader)));
    expect((header.format & 1) == 1 && header.format >> 4 == 0);
    Inode inode{.number = number,
                .mode = header.mode,
                .layout = header.format >> 1U & 7U,
                .size = header.size,
                .where = header.where,
                .links = header.links,
                .tail = address + sizeof header};
    expect(header.mtime_nanoseconds < 1'000'000'000);
    if (header.xattr_count > 0) {
        const std::uint64_t size =
            sizeof(XattrHeader) + sizeof(XattrEntry) * (header.xattr_count - 1U);
        check_xattrs(read(inode.tail, size));
        inode.tail += size;
    }
    return inode;
}

void ErofsReader::check_xattrs(std::string_view xattrs) const {
    expect(part_of<XattrHeader>(xattrs).shared_count == 0);
    xattrs.remove_prefix(sizeof(XattrHeader));
    while (!xattrs.empty()) {
        const auto entry = part_of<XattrEntry>(xattrs);
        expect(entry.prefix >= 1 && entry.prefix <= 6 && entry.prefix != 5);
        const std::uint64_t size = sizeof entry + entry.name_size + entry.value_size;
        expect(size <= xattrs.size());
        xattrs.remove_prefix(std::min<std::uint64_t>((size + 3) / 4 * 4, xattrs.size()));
    }
}

/// Pieces of `size` bytes from `block` on; what is a hole of the image's file is one here. They are
/// told as of `offset` of the owner's content.
void ErofsReader::read_blocks(std::uint64_t owner, Blocks of, const Piece& piece) {
    const auto [block, size, offset] = of;
    const std::uint64_t begin = block * block_size;
    take(begin, begin + blocks(size) * block_size, owner);
    for (std::uint64_t at = begin; at < begin + size;) {
        const off_t data = ::lseek(image_.raw(), static_cast<off_t>(at), SEEK_DATA);
        if (data < 0 || static_cast<std::uint64_t>(data) >= begin + size) return;
        at = static_cast<std::uint64_t>(data);
        const std::uint64_t length = std::min<std::uint64_t>(begin + size - at, 64 << 10);
        piece(offset + at - begin, read(at, length));
        at += length;
    }
}

void ErofsReader::read_content(const Inode& inode, const Piece& piece) {
    const std::uint64_t address = inode.number * slot_size;
    if (inode.layout == static_cast<unsigned>(Layout::in_line)) {
        const std::uint64_t tail = inode.size % block_size;
        expect(inode.size < block_size && tail > 0);  // we write no others
        expect(inode.tail / block_size == (inode.tail + tail - 1) / block_size);
        take(address, inode.tail + tail, inode.number);
        return piece(0, read(inode.tail, tail));
    }
    if (inode.layout == static_cast<unsigned>(Layout::plain)) {
        take(address, inode.tail, inode.number);
        if (inode.size > 0) read_blocks(inode.number, {inode.where, inode.size, 0}, piece);
        return;
    }
    expect(inode.layout == static_cast<unsigned>(Layout::chunks) && S_ISREG(inode.mode));
    expect(inode.size > 0 && inode.where <= chunk_bits_limit);
    const std::uint64_t chunk = block_size << inode.where;
    const std::uint64_t count = (inode.size - 1) / chunk + 1;
    take(address, inode.tail + count * sizeof(std::uint32_t), inode.number);
    const std::string table = read(inode.tail, count * sizeof(std::uint32_t));
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto block = part_of<std::uint32_t>(table, i * sizeof(std::uint32_t));
        if (block != no_block)
            read_blocks(inode.number, {block, std::min(chunk, inode.size - i * chunk), i * chunk},
                        piece);
    }
}

/// With "." and "..", sorted by bytes, over all blocks.
std::vector<ErofsReader::Name> ErofsReader::names_in(const Inode& directory) {
    std::string content(directory.size, '\0');
    read_content(directory, [&](std::uint64_t offset, std::string_view bytes) {
        expect(offset <= content.size() && bytes.size() <= content.size() - offset);
        std::ranges::copy(bytes, content.begin() + static_cast<std::ptrdiff_t>(offset));
    });
    std::vector<Name> names;
    for (std::uint64_t at = 0; at < content.size(); at += block_size) {
        const std::string_view block = std::string_view(content).substr(at, block_size);
        const auto first = part_of<DirectoryEntry>(block).name_offset;
        expect(first > 0 && first % sizeof(DirectoryEntry) == 0 && first <= block.size());
        const std::size_t count = first / sizeof(DirectoryEntry);
        for (std::size_t i = 0; i < count; ++i) {
            const auto entry = part_of<DirectoryEntry>(block, i * sizeof(DirectoryEntry));
            // The last name of a block ends with a zero byte or with the block.
            const std::size_t end =
                i + 1 < count
                    ? part_of<DirectoryEntry>(block, (i + 1) * sizeof(DirectoryEntry)).name_offset
                    : std::min(block.find('\0', entry.name_offset), block.size());
            expect(entry.name_offset < end && end <= block.size());
            names.push_back({std::string(block.substr(entry.name_offset, end - entry.name_offset)),
                             entry.inode, entry.type});
        }
    }
    expect(std::ranges::is_sorted(names, {}, &Name::name) &&
           std::ranges::adjacent_find(names, {}, &Name::name) == names.end());
    return names;
}

void ErofsReader::visit_directory(const Inode& directory, std::uint64_t parent,
                                  const std::string& path) {
    expect(S_ISDIR(directory.mode) && directories_.insert(directory.number).second);
    std::uint32_t subdirectories = 0;
    int own = 0;
    if (!path.empty()) visitor_.directory(path);
    for (const Name& name : names_in(directory)) {
        if (name.name == "." || name.name == "..") {
            expect(name.number == (name.name == "." ? directory.number : parent));
            expect(name.type == static_cast<unsigned>(FileType::directory));
            ++own;
            continue;
        }
        expect(name.name.find('/') == std::string::npos && name.name.size() <= 255);
        if (name.type == static_cast<unsigned>(FileType::directory)) ++subdirectories;
        visit(name, directory.number, path.empty() ? name.name : path + "/" + name.name);
    }
    expect(own == 2 && directory.links == subdirectories + 2);
}

void ErofsReader::visit(const Name& name, std::uint64_t parent, const std::string& path) {
    const Inode found = inode(name.number);
    expect(type_of(found.mode) == name.type);
    if (S_ISDIR(found.mode)) return visit_directory(found, parent, path);
    links_[found.number] = found.links;
    ++names_[found.number];
    const bool file = S_ISREG(found.mode), symlink = S_ISLNK(found.mode);
    std::string target;
    if (file) visitor_.file(path, found.size);
    if (symlink) expect(found.size > 0 && found.size < 4096);
    if (!file && !symlink) expect(found.size == 0);
    read_content(found, [&](std::uint64_t offset, std::string_view bytes) {
        expect(offset <= found.size && bytes.size() <= found.size - offset);
        if (file) visitor_.content(offset, bytes);
        if (symlink) target += bytes;
    });
    if (!symlink) return;
    expect(target.size() == found.size && target.find('\0') == std::string::npos);
    visitor_.symlink(path, target);
}

void ErofsReader::walk() {
    const auto super = part_of<SuperBlock>(read(super_offset, sizeof(SuperBlock)));
    visit_directory(inode(super.root), super.root, "");
    for (const auto& [number, names] : names_) expect(links_[number] == names);
    expect(names_.size() + directories_.size() <= inodes_);
}

}  // namespace corten
