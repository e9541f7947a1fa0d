#pragma once
// Trees into tar.
#include <storage/archive.hpp>

namespace corten::storage {

/// Writes the tree of a directory. Names are `prefix` + "/" + path; with `with_root` the directory
/// itself comes first as `prefix` + "/". Without a prefix names have no slash in front, unless
/// `with_root` (docker's archive of "/" has "/", "/bin", …).
struct PackRequest {
    FdView directory;
    std::string prefix;
    bool with_root = false;
    const TarOptions& options;
};
Result<void> pack_tree(const PackRequest& request, TarWriter& out);

/// Writes one object that is no directory, opened with O_PATH, under `name`.
Result<void> pack_object(FdView object, const std::string& name, TarWriter& out);

}  // namespace corten::storage
