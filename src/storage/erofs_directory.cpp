#include "erofs_directory.hpp"

namespace corten::storage {

using erofs::block_size;

namespace {

/// Fills blocks with one item after another; one that is full counts whole.
class BlockFiller {
public:
    /// True when the item begins a further block.
    bool add(std::size_t name_size) {
        const std::uint64_t size = sizeof(erofs::DirectoryEntry) + name_size;
        const bool full = used_ + size > block_size;
        if (full) {
            ++blocks_;
            used_ = 0;
        }
        used_ += size;
        return full;
    }
    std::uint64_t full_size() const { return blocks_ * block_size; }
    std::uint64_t size() const { return full_size() + used_; }

private:
    std::uint64_t blocks_ = 0;  // full ones
    std::uint64_t used_ = 0;
};

std::string block_of(std::span<const ErofsDirectoryItem> items) {
    std::string entries, names;
    const std::size_t names_at = items.size() * sizeof(erofs::DirectoryEntry);
    for (const ErofsDirectoryItem& item : items) {
        const erofs::DirectoryEntry entry{item.number,
                                          static_cast<std::uint16_t>(names_at + names.size()),
                                          static_cast<std::uint8_t>(item.type)};
        entries.append(reinterpret_cast<const char*>(&entry), sizeof entry);
        names += item.name;
    }
    return entries + names;
}

}  // namespace

std::uint64_t erofs_directory_size(std::span<const ErofsDirectoryItem> items) {
    BlockFiller filler;
    for (const ErofsDirectoryItem& item : items) filler.add(item.name.size());
    return filler.size();
}

std::string erofs_directory_content(std::span<const ErofsDirectoryItem> items) {
    std::string content;
    BlockFiller filler;
    std::size_t first = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (!filler.add(items[i].name.size())) continue;
        content += block_of(items.subspan(first, i - first));
        content.resize(filler.full_size(), '\0');
        first = i;
    }
    return content + block_of(items.subspan(first));
}

}  // namespace corten::storage
