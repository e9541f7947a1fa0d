#pragma once
#include "process_plan.hpp"

namespace corten::runtime {

/// Connects to the listener's socket while host paths are visible. Nothing without a listener.
Result<void> connect_listener(SeccompPlan& plan);
/// Installs the filter in the calling process, and hands the notify descriptor to the listener.
Result<void> load_filter(ProcessPlan& plan);

}  // namespace corten::runtime
