#pragma once
// Unpacking into a directory of the host: layers in overlayfs' form, and what is copied into
// containers.
#include "directory_times.hpp"
#include "tree.hpp"
#include "unpack.hpp"
#include "unpack_target.hpp"

#include <array>
#include <vector>

namespace corten::storage {

class DirectoryTarget final : public UnpackTarget {
public:
    /// Borrows both.
    DirectoryTarget(FdView root, const UnpackPolicy& policy);

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
    Result<void> replace_by_directory(FdView parent, const std::string& name);
    Result<void> forget_paths(Found what);
    Owner owner_of(const TarEntry& entry) const;
    Result<void> set_metadata(FdView fd, const std::string& path, const TarEntry& entry);
    Result<void> set_file_metadata(FdView fd, const TarEntry& entry);
    Result<void> set_times(const std::string& name, const TarEntry& entry);
    Result<void> set_directory_time(const std::string& path, timespec mtime);

    FdView root_;
    const UnpackPolicy& policy_;
    DirectoryCache directories_;
    Fd replaced_directory_;
    DirectoryTimes directory_times_;
    std::string entered_;  ///< path of the directory that parent_ is
    FdView parent_;
    Fd file_;
    std::uint64_t offset_ = 0;  ///< where file_ is written next
};

}  // namespace corten::storage
