#pragma once
// What only this engine's API has: GET /corten/system/df, whose the data root's bytes are.
#include <apitypes/common.hpp>

namespace corten::apitypes {

struct DiskOwner {
    /// "layer", "writable layer", "volume", "blob", "download", "container", "database", "removed",
    /// "unfinished", "engine"; "stranger" for what nothing here has made.
    std::string kind;
    std::string name;  ///< a digest, a container's id, a volume's name, a file's
    std::uint64_t bytes = 0;

    static constexpr void fields(auto visit) {
        using C = DiskOwner;
        visit(field("Kind", &C::kind), field("Name", &C::name), field("Bytes", &C::bytes));
    }
};

struct DiskOwners {
    std::string root;
    std::uint64_t bytes = 0;  ///< the sum: what du(1) finds below the root
    std::vector<DiskOwner> owners;

    static constexpr void fields(auto visit) {
        using C = DiskOwners;
        visit(field("Root", &C::root), field("Bytes", &C::bytes), field("Owners", &C::owners));
    }
};

}  // namespace corten::apitypes
