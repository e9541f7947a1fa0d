#pragma once
// Images that nobody needs make room by themselves when the disk fills up. Off unless the daemon
// was told the marks (--image-gc-high, --image-gc-low).
#include "context.hpp"

namespace corten::engine {

/// When the data root's disk is fuller than the high mark: removes images that no container is made
/// from, those first whose last use is longest ago, until it is at the low mark or none is left.
/// Does nothing when the marks are not set. A failure is logged.
void relieve_disk(Context& context);

/// Looks after the disk from now on: every few minutes.
void watch_disk(Context& context);

}  // namespace corten::engine
