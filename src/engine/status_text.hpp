#pragma once
#include "container_record.hpp"

#include <string>

namespace corten::engine {

/// "Up 2 seconds (healthy)", "Exited (0) 3 minutes ago": the STATUS column of `docker ps`.
std::string status_text(const ContainerState& state, WallTime now);

}  // namespace corten::engine
