#pragma once
// Compiled system call filters: compiling docker's profile takes longer than starting a container.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <base/sync.hpp>

#include <map>
#include <string>
#include <vector>

namespace corten::engine {

class SeccompCache {
public:
    /// A memory file with the program for this profile (empty: the default one) and capabilities.
    Result<Fd> program(const std::string& profile, const std::vector<std::string>& capabilities);

private:
    /// Programs by profile and capabilities; the few that a host sees stay.
    struct Programs {
        std::map<std::string, std::string> by_key;
    };
    Sync<Programs> programs_;
};

}  // namespace corten::engine
