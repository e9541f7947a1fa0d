#pragma once
#include <base/signals.hpp>

namespace corten::engine {

using corten::parse_signal;

}  // namespace corten::engine
