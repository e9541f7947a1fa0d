#pragma once
// The corten command.
#include <string>
#include <vector>

namespace corten::cli {

/// Runs one command line (without the program's name) and gives the exit code. Writes to standard
/// output and error; reads the environment: CORTEN_HOST, DOCKER_HOST, DOCKER_CONFIG, HOME.
int run_command_line(const std::vector<std::string>& words);

}  // namespace corten::cli
