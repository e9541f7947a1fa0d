#pragma once
// Health checks: a command run in the container at intervals, and what its results mean.
#include "context.hpp"

namespace corten::engine {

/// "starting" when the container has a check, else empty.
HealthRecord initial_health(const apitypes::ContainerConfig& config);

/// Probes from one interval on, until the container's run ends. Nothing for one without a check.
void begin_health_checks(Context& context, const std::shared_ptr<Container>& container);

/// What a probe's end makes of the record; true when the status changed. `in_start_period`:
/// failures do not count yet.
bool apply_probe(HealthRecord& health, HealthProbe probe, int retries, bool in_start_period);

}  // namespace corten::engine
