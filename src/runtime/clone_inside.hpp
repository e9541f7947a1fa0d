#pragma once
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/clone.hpp>
#include <sys/process.hpp>

#include <optional>
#include <vector>

namespace corten::runtime {

struct Birthplace {
    FdView namespaces;  ///< a namespace, or a pidfd
    int types = 0;      ///< CLONE_NEW*
};

/// What sys::clone_process() gives, but the child is born in these, and what it makes anew belongs
/// to the user namespace among them. A process in between enters them, in this order, and makes the
/// child its own sibling, so the caller needs no way back.
Result<std::optional<sys::PidRef>> clone_inside(const std::vector<Birthplace>& places,
                                                sys::CloneRequest request);

}  // namespace corten::runtime
