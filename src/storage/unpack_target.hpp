#pragma once
// Where unpacking puts entries: a directory (directory_target.cpp) or an image in the making
// (erofs_target.cpp). A target knows how a tree is kept; what an archive may say, and what becomes
// of a name that is taken, is decided once in unpack.cpp.
//
// All names are relative to the directory entered last, and have no slash.
#include <base/result.hpp>
#include <storage/tar.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace corten::storage {

class UnpackTarget {
public:
    enum class Missing { fail, create };
    enum class Found { nothing, directory, file, symlink, whiteout, other };

    virtual ~UnpackTarget() = default;

    /// Goes to the directory `path` (clean; "" is the root). Symlinks on the way are followed and
    /// never lead out of the root. Missing directories are made with mode 0755 and told to `made`.
    virtual Result<void> enter(std::string_view path, Missing missing) = 0;
    /// The directory entered last, by a path without symlinks.
    virtual Result<std::string> place() = 0;
    virtual Result<Found> find(const std::string& name) = 0;

    /// Each make_… gives false, and has done nothing, when the name is taken. `entry` has the
    /// metadata; a file's content follows in write_… and end_file(), with nothing between them.
    virtual Result<bool> make_file(const std::string& name, const TarEntry& entry) = 0;
    virtual Result<bool> make_directory(const std::string& name, const TarEntry& entry) = 0;
    virtual Result<bool> make_symlink(const std::string& name, const TarEntry& entry) = 0;
    virtual Result<bool> make_special(const std::string& name, const TarEntry& entry) = 0;
    virtual Result<bool> make_whiteout(const std::string& name) = 0;
    /// A further name of the object `path`, which is clean and not entered. True also when it is
    /// that object already; `corrupt` when there is none.
    virtual Result<bool> make_hard_link(const std::string& name, std::string_view path) = 0;

    /// Content of the file made last, at `offset` of it: ascending, within entry.extents if set.
    virtual Result<void> write(std::uint64_t offset, std::string_view bytes) = 0;
    virtual Result<void> end_file(const TarEntry& entry) = 0;

    /// Metadata of a directory that is there; the time is set in finish().
    virtual Result<void> set_directory(const std::string& name, const TarEntry& entry) = 0;
    virtual Result<void> set_root(const TarEntry& entry) = 0;
    /// The directory hides the ones below it; "" is the one entered last.
    virtual Result<void> make_opaque(const std::string& name) = 0;

    /// `what` is what find() said; a directory goes with all that is in it.
    virtual Result<void> remove(const std::string& name, Found what) = 0;
    /// As remove(), but its files can still be read as `replaced/<number>` for the record.
    virtual Result<void> set_aside(const std::string& name, Found what, std::uint64_t number) = 0;

    virtual Result<void> finish() = 0;

    /// Called for each missing directory that was made.
    std::function<Result<void>()> made;
};

}  // namespace corten::storage
