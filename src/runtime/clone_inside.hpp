#pragma once
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/clone.hpp>
#include <sys/process.hpp>

#include <optional>

namespace corten::runtime {

/// What sys::clone_process() gives, but the child is born in `types` (CLONE_NEW*) of `namespaces`,
/// a namespace or a pidfd, and what it makes anew belongs to the user namespace among them. A
/// process in between enters them and makes the child its own sibling, so the caller needs no way
/// back.
Result<std::optional<sys::PidRef>> clone_inside(FdView namespaces, int types,
                                                sys::CloneRequest request);

}  // namespace corten::runtime
