#include "exit_code.hpp"

namespace corten::cli {

int exit_code_of_failure(std::string_view message) {
    const auto says = [&](std::string_view words) { return message.find(words) != message.npos; };
    if (says("executable file not found") || says("no such file or directory"))
        return exit_not_found;
    if (says("permission denied") || says("is a directory")) return exit_not_executable;
    return exit_daemon_error;
}

}  // namespace corten::cli
