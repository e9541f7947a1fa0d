#pragma once
// Reads what a user asked to be mounted (docker's -v, --mount, --tmpfs, --volumes-from and the
// image's VOLUMEs) into one list without contradictions. Pure: touches no file.
#include "container_record.hpp"

#include <functional>

namespace corten::engine {

/// "/a//b/../c/" -> "/a/c". Never climbs above the root.
std::string clean_path(std::string_view path);

/// The mounts of another container, for --volumes-from.
using MountsOf = std::function<Result<std::vector<PlannedMount>>(std::string_view container)>;

/// Errors are of kind invalid with docker's texts; two mounts on one target are one of them.
Result<std::vector<PlannedMount>> plan_mounts(const apitypes::ContainerConfig& config,
                                              const apitypes::HostConfig& host,
                                              const MountsOf& mounts_of,
                                              ReadOnlyBinds read_only = ReadOnlyBinds::recursive);

}  // namespace corten::engine
