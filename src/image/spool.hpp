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
    /// Unpacks an uncompressed tar into a new directory below `root`. No file may have more than
    /// `most_bytes` (0: any), and all together no more than an image of the most layers has.
    static Result<Spool> unpack(const std::string& root, storage::Source& tar,
                                std::uint64_t most_bytes);
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
    Spool(std::string directory, std::uint64_t most_bytes)
        : directory_(std::make_unique<std::string>(std::move(directory))),
          most_bytes_(most_bytes) {}
    Result<void> add(storage::TarReader& tar, const storage::TarEntry& entry);
    Result<void> count(const std::string& name, std::uint64_t bytes);
    const File* find(const std::string& name) const;
    Result<const File*> get(const std::string& name) const;

    std::unique_ptr<std::string> directory_;  // null once moved from
    std::uint64_t most_bytes_ = 0;
    std::uint64_t bytes_ = 0;
    std::size_t entries_ = 0;
    std::map<std::string, File> files_;
    std::map<std::string, std::string> links_;  ///< name to name
};

}  // namespace corten::image
