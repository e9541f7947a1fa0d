#pragma once
#include <base/fd.hpp>
#include <base/result.hpp>

namespace corten::storage {

/// Makes below `root` (a writable view of an image) what every container gets mounted over, where
/// the image lacks it: the same list as docker's init layer.
Result<void> fill_init_layer(FdView root);

}  // namespace corten::storage
