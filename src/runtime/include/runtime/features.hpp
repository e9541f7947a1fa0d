#pragma once
// What this runtime understands, for `features` (runtime-spec features.md) and for the engine.
#include <string>
#include <vector>

namespace corten::runtime {

struct Features {
    std::vector<std::string> namespaces;
    std::vector<std::string> capabilities;
    std::vector<std::string> hooks;
    std::vector<std::string> mount_options;
};
Features features();

}  // namespace corten::runtime
