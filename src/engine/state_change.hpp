#pragma once
// The one way in which a container's state changes, in memory and on disk. Always with the
// container's operation() held, so that nothing is written over with what was read before.
#include "context.hpp"

#include <functional>

namespace corten::engine {

using StateChange = std::function<void(ContainerState&)>;

/// On disk first: what could not be kept did not happen.
Result<void> change_and_keep(ContainerStore& store, Container& container,
                             const StateChange& change);

/// For what has happened, whatever the disk says; a full one's reserve is used for it. False, and
/// logged, when it could not be kept.
bool note_change(Context& context, Container& container, const StateChange& change);

}  // namespace corten::engine
