#include "erofs_target.hpp"

#include "tree.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

namespace corten::storage {

namespace {

constexpr std::size_t memory_limit = 1 << 30;
constexpr std::size_t node_cost = 250;
constexpr unsigned symlink_limit = 40;  // as the kernel follows
constexpr std::uint32_t first_directory_links = 2;
const Xattrs opaque = {{opaque_xattr, "y"}};

using erofs::block_size;
using erofs::FileType;
using Found = UnpackTarget::Found;

FileType file_type(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR:
            return FileType::directory;
        case S_IFLNK:
            return FileType::symlink;
        case S_IFCHR:
            return FileType::character_device;
        case S_IFBLK:
            return FileType::block_device;
        case S_IFIFO:
            return FileType::fifo;
        default:
            return FileType::file;
    }
}

mode_t mode_of(EntryType type) {
    switch (type) {
        case EntryType::character_device:
            return S_IFCHR;
        case EntryType::block_device:
            return S_IFBLK;
        case EntryType::fifo:
            return S_IFIFO;
        default:
            return S_IFREG;
    }
}

}  // namespace

/// What has an inode. Objects that are no directory are in the image already.
struct ErofsTarget::Node {
    Found kind = Found::other;
    FileType type = FileType::file;
    std::uint32_t links = 0;
    ErofsImage::Number number = 0;
    std::string target;  ///< of a symlink
    std::unique_ptr<Directory> directory;
};

struct ErofsTarget::Directory {
    Node* parent = nullptr;
    Items items;
    ErofsInode inode;
    Xattrs xattrs;
    std::uint32_t block = 0;  ///< of the content, where it is not inline
};

/// The file that is being written.
struct ErofsTarget::OpenFile {
    Node* node = nullptr;
    ErofsInode inode;
    bool in_line = false;
    std::string content;  ///< of an inline file
    std::uint32_t block = 0;
    std::optional<unsigned> chunk_bits;  ///< of a sparse file
    std::vector<std::uint32_t> chunks;
};

ErofsTarget::ErofsTarget(FdView image) : image_(image) {
    ::clock_gettime(CLOCK_REALTIME, &begun_);
    top_ = directory_node(nullptr);
    top_->directory->parent = top_;
    root_ = directory_node(top_);
    top_->directory->items.emplace("diff", root_);
    current_ = root_;
}

ErofsTarget::~ErofsTarget() = default;

// --- the tree ------------------------------------------------------------------------------------

Result<void> ErofsTarget::hold(std::size_t bytes) {
    held_ += bytes;
    if (held_ <= memory_limit) return {};
    return fail(ErrorKind::invalid, "the archive's names and directories take more than {} bytes",
                memory_limit);
}

ErofsTarget::Node* ErofsTarget::directory_node(Node* parent) {
    Node* node = &nodes_.emplace_back();
    node->kind = Found::directory;
    node->type = FileType::directory;
    node->directory = std::make_unique<Directory>();
    node->directory->parent = parent;
    node->directory->inode = {.mode = S_IFDIR | 0755, .mtime = begun_};
    return node;
}

/// In the directory entered last, with a name that is free.
Result<ErofsTarget::Node*> ErofsTarget::add_node(const std::string& name, Found kind) {
    if (name.size() > NAME_MAX) return Error::from_errno(ENAMETOOLONG, "make " + name);
    TRY(hold(node_cost + name.size()));
    Node* node = &nodes_.emplace_back();
    node->kind = kind;
    current_->directory->items.emplace(name, node);
    return node;
}

Result<ErofsTarget::Node*> ErofsTarget::new_directory(Node* parent, const std::string& name) {
    if (name.size() > NAME_MAX) return Error::from_errno(ENAMETOOLONG, "make directory " + name);
    TRY(hold(2 * node_cost + name.size()));
    Node* node = directory_node(parent);
    parent->directory->items.insert_or_assign(name, node);
    return node;
}

ErofsTarget::Node* ErofsTarget::child(const Node* directory, std::string_view name) const {
    const auto found = directory->directory->items.find(name);
    return found == directory->directory->items.end() ? nullptr : found->second;
}

/// A directory where none is. Only a whiteout that came earlier gives way, to a directory that
/// hides what is below it.
Result<ErofsTarget::Node*> ErofsTarget::make_way(Node* parent, const std::string& name,
                                                 Node* taken) {
    if (taken && taken->kind != Found::whiteout)
        return Error::from_errno(ENOTDIR, "directory " + name);
    Node* made_directory = TRY(new_directory(parent, name));
    if (taken) TRY(add_xattrs(made_directory, opaque));
    if (!taken && made) TRY(made());
    return made_directory;
}

Result<ErofsTarget::Node*> ErofsTarget::step(Node* from, std::string_view name, Missing missing,
                                             unsigned& symlinks) {
    if (name.empty() || name == ".") return from;
    if (name == "..") return from == root_ ? root_ : from->directory->parent;
    Node* found = child(from, name);
    if (found && found->kind == Found::directory) return found;
    if (found && found->kind == Found::symlink) {
        if (++symlinks > symlink_limit)
            return Error::from_errno(ELOOP, fmt::format("directory {}", name));
        Node* start = found->target.starts_with('/') ? root_ : from;
        return resolve(start, found->target, Missing::fail, symlinks);
    }
    if (missing == Missing::create) return make_way(from, std::string(name), found);
    return Error::from_errno(found ? ENOTDIR : ENOENT, fmt::format("directory {}", name));
}

/// As openat2(2) with RESOLVE_IN_ROOT. Recursive in symlinks only, of which there are few.
Result<ErofsTarget::Node*> ErofsTarget::resolve(Node* from, std::string_view path, Missing missing,
                                                unsigned& symlinks) {
    while (!path.empty()) {
        const auto slash = path.find('/');
        from = TRY(step(from, path.substr(0, slash), missing, symlinks));
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return from;
}

Result<void> ErofsTarget::enter(std::string_view path, Missing missing) {
    if (path == entered_) return {};
    entered_ = path;
    return enter_again(missing);
}

Result<void> ErofsTarget::enter_again(Missing missing) {
    unsigned symlinks = 0;
    current_ = TRY(resolve(root_, entered_, missing, symlinks));
    by_symlinks_ = symlinks > 0;
    return {};
}

Result<std::string> ErofsTarget::place() {
    if (!by_symlinks_) return entered_;
    std::string path;
    for (const Node* node = current_; node != root_; node = node->directory->parent) {
        const auto& items = node->directory->parent->directory->items;
        const auto own =
            std::ranges::find(items, node, [](const auto& item) { return item.second; });
        path = path.empty() ? own->first : own->first + "/" + path;
    }
    return path;
}

Result<UnpackTarget::Found> ErofsTarget::find(const std::string& name) {
    const Node* found = child(current_, name);
    return found ? found->kind : Found::nothing;
}

/// The path of the directory entered last may lead elsewhere once one is gone.
Result<void> ErofsTarget::remove(const std::string& name, Found what) {
    current_->directory->items.erase(name);
    if (what != Found::directory && what != Found::symlink) return {};
    return enter_again(Missing::create);
}

Result<void> ErofsTarget::set_aside(const std::string& name, Found what, std::uint64_t number) {
    if (!replaced_) replaced_ = TRY(new_directory(top_, "replaced"));
    Node* kept = child(current_, name);
    TRY(hold(node_cost));
    replaced_->directory->items.emplace(fmt::format("{}", number), kept);
    if (kept->directory) kept->directory->parent = replaced_;
    return remove(name, what);
}

// --- metadata ------------------------------------------------------------------------------------

namespace {

/// What of the entry's xattrs an object of this type keeps; of two with one name the last.
Xattrs xattrs_of(const TarEntry& entry, mode_t type) {
    Xattrs kept;
    const bool may_have_user = type == S_IFREG || type == S_IFDIR;
    for (const auto& [name, value] : entry.xattrs)
        if (!is_layer_mark(name) && (may_have_user || !name.starts_with("user.")))
            kept.insert_or_assign(name, value);
    return kept;
}

Result<ErofsInode> inode_of(const TarEntry& entry, mode_t type) {
    ErofsInode inode;
    inode.mode = type | entry.mode;
    inode.uid = entry.uid;
    inode.gid = entry.gid;
    inode.mtime = entry.mtime;
    inode.xattrs = TRY(encode_erofs_xattrs(xattrs_of(entry, type)));
    return inode;
}

}  // namespace

Result<void> ErofsTarget::add_xattrs(Node* node, const Xattrs& xattrs) {
    if (xattrs.empty()) return {};
    Directory& directory = *node->directory;
    for (const auto& [name, value] : xattrs) {
        TRY(hold(2 * (name.size() + value.size()) + node_cost));
        directory.xattrs.insert_or_assign(name, value);
    }
    directory.inode.xattrs = TRY(encode_erofs_xattrs(directory.xattrs));
    return {};
}

Result<void> ErofsTarget::set_metadata(Node* directory, const TarEntry& entry) {
    ErofsInode& inode = directory->directory->inode;
    inode.mode = S_IFDIR | entry.mode;
    inode.uid = entry.uid;
    inode.gid = entry.gid;
    inode.mtime = entry.mtime;
    return add_xattrs(directory, xattrs_of(entry, S_IFDIR));
}

Result<ErofsTarget::Node*> ErofsTarget::child_directory(const std::string& name) {
    Node* found = child(current_, name);
    if (!found || !found->directory) return Error::from_errno(ENOTDIR, "directory " + name);
    return found;
}

Result<void> ErofsTarget::set_directory(const std::string& name, const TarEntry& entry) {
    return set_metadata(TRY(child_directory(name)), entry);
}

Result<void> ErofsTarget::set_root(const TarEntry& entry) {
    return set_metadata(root_, entry);
}

Result<void> ErofsTarget::make_opaque(const std::string& name) {
    return add_xattrs(name.empty() ? current_ : TRY(child_directory(name)), opaque);
}

// --- entries -------------------------------------------------------------------------------------

Result<bool> ErofsTarget::make_directory(const std::string& name, const TarEntry&) {
    if (child(current_, name)) return false;
    TRY(new_directory(current_, name));
    return true;
}

Result<bool> ErofsTarget::make_symlink(const std::string& name, const TarEntry& entry) {
    if (child(current_, name)) return false;
    if (entry.link.size() >= PATH_MAX) return Error::from_errno(ENAMETOOLONG, "make symlink");
    ErofsInode inode = TRY(inode_of(entry, S_IFLNK));
    inode.mode = S_IFLNK | 0777;
    inode.size = entry.link.size();
    TRY(hold(entry.link.size()));
    Node* node = TRY(add_node(name, Found::symlink));
    node->type = FileType::symlink;
    node->target = entry.link;
    if (ErofsImage::fits_inline(inode)) {
        node->number = TRY(image_.add_inline(inode, entry.link));
        return true;
    }
    const std::uint32_t block = TRY(image_.reserve_blocks(inode.size));
    TRY(image_.write(block, 0, entry.link));
    node->number = TRY(image_.add_plain(inode, block));
    return true;
}

Result<bool> ErofsTarget::make_special(const std::string& name, const TarEntry& entry) {
    if (child(current_, name)) return false;
    const ErofsInode inode = TRY(inode_of(entry, mode_of(entry.type)));
    const bool device = entry.type != EntryType::fifo;
    const bool whiteout = entry.type == EntryType::character_device && entry.device_major == 0 &&
                          entry.device_minor == 0;
    Node* node = TRY(add_node(name, whiteout ? Found::whiteout : Found::other));
    node->type = file_type(inode.mode);
    node->number = TRY(
        image_.add_device(inode, device ? entry.device_major : 0, device ? entry.device_minor : 0));
    return true;
}

Result<bool> ErofsTarget::make_whiteout(const std::string& name) {
    TarEntry entry;
    entry.type = EntryType::character_device;
    entry.mtime = begun_;
    return make_special(name, entry);
}

Result<bool> ErofsTarget::make_hard_link(const std::string& name, std::string_view path) {
    const auto [above, leaf] = split_leaf(path);
    unsigned symlinks = 0;
    Node* object = child(TRY(resolve(root_, above, Missing::fail, symlinks)), leaf);
    if (!object) return fail(ErrorKind::corrupt, "hard link to \"{}\", which does not exist", path);
    if (const Node* present = child(current_, name)) return present == object;
    if (object->directory) return Error::from_errno(EPERM, "make hard link to a directory");
    if (name.size() > NAME_MAX) return Error::from_errno(ENAMETOOLONG, "make hard link");
    TRY(hold(node_cost + name.size()));
    current_->directory->items.emplace(name, object);
    return true;
}

// --- content -------------------------------------------------------------------------------------

namespace {

/// Chunks of a sparse file: small enough to leave its holes out, and few enough that their table
/// is in proportion to the archive's own.
unsigned chunk_bits_for(const TarEntry& entry) {
    const std::uint64_t most = std::clamp<std::uint64_t>(8 * entry.extents->size(), 64, 1 << 16);
    unsigned bits = 0;
    while (bits < erofs::chunk_bits_limit && (entry.size - 1) >> (erofs::block_bits + bits) >= most)
        ++bits;
    return bits;
}

}  // namespace

Result<bool> ErofsTarget::make_file(const std::string& name, const TarEntry& entry) {
    if (child(current_, name)) return false;
    if (entry.size > ErofsImage::size_limit) return Error::from_errno(EFBIG, "create file");
    auto file = std::make_unique<OpenFile>();
    file->inode = TRY(inode_of(entry, S_IFREG));
    file->inode.size = entry.size;
    file->in_line = !entry.extents && ErofsImage::fits_inline(file->inode);
    if (entry.extents && entry.size > 0) {
        file->chunk_bits = chunk_bits_for(entry);
        file->chunks.resize(((entry.size - 1) >> (erofs::block_bits + *file->chunk_bits)) + 1,
                            erofs::no_block);
    } else if (!file->in_line) {
        file->block = TRY(image_.reserve_blocks(entry.size));
    }
    file->node = TRY(add_node(name, Found::file));
    file_ = std::move(file);
    return true;
}

Result<void> ErofsTarget::write(std::uint64_t offset, std::string_view bytes) {
    if (offset > file_->inode.size || bytes.size() > file_->inode.size - offset)
        return fail(ErrorKind::corrupt, "more content than the header says");
    if (file_->chunk_bits) return write_chunked(offset, bytes);
    if (!file_->in_line) return image_.write(file_->block, offset, bytes);
    file_->content.append(bytes);
    return {};
}

Result<void> ErofsTarget::write_chunked(std::uint64_t offset, std::string_view bytes) {
    const std::uint64_t chunk_size = block_size << *file_->chunk_bits;
    while (!bytes.empty()) {
        const std::uint64_t start = offset / chunk_size * chunk_size;
        std::uint32_t& block = file_->chunks[offset / chunk_size];
        if (block == erofs::no_block)
            block = TRY(image_.reserve_blocks(std::min(chunk_size, file_->inode.size - start)));
        const std::string_view part = bytes.substr(0, start + chunk_size - offset);
        TRY(image_.write(block, offset - start, part));
        offset += part.size();
        bytes.remove_prefix(part.size());
    }
    return {};
}

Result<void> ErofsTarget::end_file(const TarEntry&) {
    const auto file = std::move(file_);
    if (file->chunk_bits)
        file->node->number = TRY(image_.add_chunked(file->inode, *file->chunk_bits, file->chunks));
    else if (file->in_line)
        file->node->number = TRY(image_.add_inline(file->inode, file->content));
    else
        file->node->number = TRY(image_.add_plain(file->inode, file->block));
    return {};
}

// --- the end -------------------------------------------------------------------------------------

/// With "." and "..", sorted by bytes.
std::vector<ErofsDirectoryItem> ErofsTarget::items_of(const Node* node) {
    const Directory& directory = *node->directory;
    std::vector<ErofsDirectoryItem> items;
    items.reserve(directory.items.size() + 2);
    items.push_back({".", node->number, FileType::directory});
    items.push_back({"..", directory.parent->number, FileType::directory});
    for (const auto& [name, item] : directory.items)
        items.push_back({name, item->number, item->type});
    std::ranges::sort(items, {}, &ErofsDirectoryItem::name);
    return items;
}

/// Also counts the links of what is in it.
void ErofsTarget::count_links(Node* directory) {
    directory->links = first_directory_links;
    for (const auto& [name, node] : directory->directory->items) {
        if (node->directory) {
            ++directory->links;
            directories_.push_back(node);
        } else if (++node->links == 2) {
            linked_.push_back(node);
        }
    }
}

/// Finds all directories and gives each a number and a size, so that they can name each other.
Result<void> ErofsTarget::number_directories() {
    directories_.push_back(top_);
    for (std::size_t i = 0; i < directories_.size(); ++i) count_links(directories_[i]);
    for (Node* node : directories_) {
        Directory& directory = *node->directory;
        directory.inode.size = erofs_directory_size(items_of(node));
        directory.inode.links = node->links;
        if (node == top_)
            node->number = ErofsImage::root_number;
        else
            node->number = TRY(image_.reserve_inode(directory.inode));
    }
    for (Node* node : directories_)
        if (node != top_ && !ErofsImage::fits_inline(node->directory->inode))
            node->directory->block = TRY(image_.reserve_blocks(node->directory->inode.size));
    return {};
}

Result<void> ErofsTarget::write_directories() {
    for (const Node* node : directories_) {
        const Directory& directory = *node->directory;
        if (node == top_) continue;
        const std::string content = erofs_directory_content(items_of(node));
        if (ErofsImage::fits_inline(directory.inode)) {
            TRY(image_.put_inline(node->number, directory.inode, content));
            continue;
        }
        TRY(image_.put_plain(node->number, directory.inode, directory.block));
        TRY(image_.write(directory.block, 0, content));
    }
    return {};
}

Result<void> ErofsTarget::finish() {
    TRY(number_directories());
    TRY(write_directories());
    std::vector<ErofsImage::Links> links;
    links.reserve(linked_.size());
    for (const Node* node : linked_) links.push_back({node->number, node->links});
    return image_.finish(top_->directory->inode, erofs_directory_content(items_of(top_)), links);
}

}  // namespace corten::storage
