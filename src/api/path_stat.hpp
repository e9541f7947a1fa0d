#pragma once
#include <engine/containers.hpp>

namespace corten::api {

/// st_mode as Go's os.FileMode has it: the permission bits below, types and set-id bits above.
std::uint32_t go_file_mode(std::uint32_t st_mode);

/// The value of X-Docker-Container-Path-Stat: base64 of JSON.
std::string path_stat_header(const engine::PathStat& stat);

}  // namespace corten::api
