#pragma once
#include <base/result.hpp>

namespace corten::sys {

/// Closes the descriptors from `first` to `last`: close_range(2), and before Linux 5.9 one by one.
Result<void> close_range(unsigned first, unsigned last);

}  // namespace corten::sys
