#include <apitypes/container.hpp>
#include <apitypes/stats.hpp>

namespace corten::apitypes {

Json to_json(const ContainerInspect& inspect) {
    return corten::to_json(inspect);
}
Json to_json(const ContainerSummary& summary) {
    return corten::to_json(summary);
}
Json to_json(const Stats& stats) {
    return corten::to_json(stats);
}

Result<ContainerInspect> container_inspect_from(const Json& json) {
    return from_json<ContainerInspect>(json);
}
Result<Stats> stats_from(const Json& json) {
    return from_json<Stats>(json);
}

}  // namespace corten::apitypes
