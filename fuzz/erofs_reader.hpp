#pragma once
// Reads an EROFS image in the way the kernel would, but believes nothing: where something is not as
// the format wants it, or two things lie in one place, the program ends.
#include <base/fd.hpp>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace corten {

class ErofsReader {
public:
    /// Borrows the image. Files' content is told in pieces, without holes.
    struct Visitor {
        std::function<void(const std::string& path)> directory;
        std::function<void(const std::string& path, const std::string& target)> symlink;
        std::function<void(const std::string& path, std::uint64_t size)> file;
        std::function<void(std::uint64_t offset, std::string_view bytes)>
            content;  ///< of that file
    };
    ErofsReader(FdView image, Visitor visitor);

    /// Everything that can be reached from the root, parents first.
    void walk();

private:
    struct Inode {
        std::uint64_t number = 0;
        mode_t mode = 0;
        unsigned layout = 0;
        std::uint64_t size = 0;
        std::uint32_t where = 0;
        std::uint32_t links = 0;
        std::uint64_t tail = 0;  ///< address of what stands behind inode and xattrs
    };
    struct Name {
        std::string name;
        std::uint64_t number = 0;
        unsigned type = 0;
    };
    struct Place {
        std::uint64_t end = 0;
        std::uint64_t owner = 0;  ///< an inode's number
        bool operator==(const Place&) const = default;
    };
    struct Blocks {
        std::uint64_t first = 0;
        std::uint64_t size = 0;    ///< bytes
        std::uint64_t offset = 0;  ///< of the content
    };
    using Piece = std::function<void(std::uint64_t offset, std::string_view bytes)>;

    std::string read(std::uint64_t offset, std::uint64_t size) const;
    void check_super();
    Inode inode(std::uint64_t number);
    void check_xattrs(std::string_view xattrs) const;
    void take(std::uint64_t begin, std::uint64_t end, std::uint64_t owner);
    void read_blocks(std::uint64_t owner, Blocks of, const Piece& piece);
    void read_content(const Inode& inode, const Piece& piece);
    std::vector<Name> names_in(const Inode& directory);
    void visit_directory(const Inode& directory, std::uint64_t parent, const std::string& path);
    void visit(const Name& name, std::uint64_t parent, const std::string& path);

    FdView image_;
    Visitor visitor_;
    std::uint64_t size_ = 0;
    std::uint64_t inodes_ = 0;
    std::map<std::uint64_t, Place> taken_;          ///< by where it begins
    std::map<std::uint64_t, std::uint32_t> names_;  ///< of inodes that are no directory
    std::map<std::uint64_t, std::uint32_t> links_;  ///< what they say
    std::set<std::uint64_t> directories_;
};

}  // namespace corten
