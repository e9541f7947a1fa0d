#pragma once
// The files of an image archive, in a directory of ours under names of ours: what they are called
// in the archive never becomes a path. Removed on destruction; `load` needs them in another order
// than they come.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/stream.hpp>
#include <storage/tar.hpp>

#include <map>
#include <string>

namespace corten::image {

class Spool {
public:
    /// Unpacks an uncompressed tar into a new directory below `root`.
    static Result<Spool> unpack(const std::string& root, storage::Source& tar);
    Spool(Spool&&) noexcept = default;
    ~Spool();

    bool has(const std::string& name) const { return find(name) != nullptr; }
    Result<Fd> open(const std::string& name) const;
    Result<std::uint64_t> size(const std::string& name) const;
    Result<std::string> read(const std::string& name, std::size_t limit) const;

private:
    struct File {
        std::string path;
        std::uint64_t size = 0;
    };
    explicit Spool(std::string directory)
        : directory_(std::make_unique<std::string>(std::move(directory))) {}
    Result<void> add(storage::TarReader& tar, const storage::TarEntry& entry);
    const File* find(const std::string& name) const;
    Result<const File*> get(const std::string& name) const;

    std::unique_ptr<std::string> directory_;  // null once moved from
    std::size_t entries_ = 0;
    std::map<std::string, File> files_;
    std::map<std::string, std::string> links_;  ///< name to name
};

}  // namespace corten::image
