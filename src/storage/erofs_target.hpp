#pragma once
// Unpacking a layer into an EROFS image. Content and inodes of files go into the image as they
// come; held in memory until finish() are the directories with their names, and of every object
// its place: some 250 bytes and the name, a symlink's target, a directory's xattrs (64 KiB at
// most). An archive for which all that takes more than a GiB is refused.
//
// In the image, `diff` is the layer's root, and `replaced` has what set_aside() kept.
#include "erofs_directory.hpp"
#include "erofs_image.hpp"
#include "unpack_target.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace corten::storage {

class ErofsTarget final : public UnpackTarget {
public:
    /// Borrows `image`, an empty file open for writing.
    explicit ErofsTarget(FdView image);
    ~ErofsTarget() override;

    Result<void> enter(std::string_view path, Missing missing) override;
    Result<std::string> place() override;
    Result<Found> find(const std::string& name) override;
    Result<bool> make_file(const std::string& name, const TarEntry& entry) override;
    Result<bool> make_directory(const std::string& name, const TarEntry& entry) override;
    Result<bool> make_symlink(const std::string& name, const TarEntry& entry) override;
    Result<bool> make_special(const std::string& name, const TarEntry& entry) override;
    Result<bool> make_whiteout(const std::string& name) override;
    Result<bool> make_hard_link(const std::string& name, std::string_view path) override;
    Result<void> write(std::uint64_t offset, std::string_view bytes) override;
    Result<void> end_file(const TarEntry& entry) override;
    Result<void> set_directory(const std::string& name, const TarEntry& entry) override;
    Result<void> set_root(const TarEntry& entry) override;
    Result<void> make_opaque(const std::string& name) override;
    Result<void> remove(const std::string& name, Found what) override;
    Result<void> set_aside(const std::string& name, Found what, std::uint64_t number) override;
    Result<void> finish() override;

private:
    struct Node;
    struct Directory;
    struct OpenFile;
    using Items = std::map<std::string, Node*, std::less<>>;

    Result<void> hold(std::size_t bytes);
    Result<Node*> add_node(const std::string& name, Found kind);
    Node* directory_node(Node* parent);
    Result<Node*> new_directory(Node* parent, const std::string& name);
    Result<void> enter_again(Missing missing);
    Node* child(const Node* directory, std::string_view name) const;
    Result<Node*> resolve(Node* from, std::string_view path, Missing missing, unsigned& symlinks);
    Result<Node*> step(Node* from, std::string_view name, Missing missing, unsigned& symlinks);
    Result<Node*> make_way(Node* parent, const std::string& name, Node* taken);
    Result<Node*> child_directory(const std::string& name);
    Result<void> set_metadata(Node* directory, const TarEntry& entry);
    Result<void> add_xattrs(Node* directory, const Xattrs& xattrs);
    Result<void> write_chunked(std::uint64_t offset, std::string_view bytes);
    Result<void> number_directories();
    Result<void> write_directories();
    void count_links(Node* directory);
    static std::vector<ErofsDirectoryItem> items_of(const Node* directory);

    ErofsImage image_;
    std::deque<Node> nodes_;
    Node* top_ = nullptr;       ///< the image's own root
    Node* root_ = nullptr;      ///< the layer's
    Node* replaced_ = nullptr;  ///< made when it is needed
    Node* current_ = nullptr;   ///< the directory entered last
    std::string entered_;       ///< its path
    bool by_symlinks_ = false;  ///< that path leads through symlinks
    std::unique_ptr<OpenFile> file_;
    std::size_t held_ = 0;            ///< bytes of memory, about
    timespec begun_{};                ///< time of directories that the archive does not have
    std::vector<Node*> directories_;  ///< in finish(): all that can be reached
    std::vector<Node*> linked_;       ///< in finish(): what has several names
};

}  // namespace corten::storage
