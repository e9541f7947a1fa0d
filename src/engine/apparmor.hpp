#pragma once
// AppArmor's profile for containers: its rules, and that the kernel has it. The rules are compiled
// and loaded by the distribution's apparmor_parser.
#include "host_facts.hpp"

#include <mutex>
#include <string>
#include <string_view>

namespace corten::engine {

/// The rules in the language of apparmor.d(5), with the effect of docker-default. `daemon` is the
/// profile that this daemon and its supervisors run under: containers take its signals.
std::string default_profile_rules(std::string_view daemon);

class DefaultProfile {
public:
    /// Loads it unless the kernel has it; others may have taken it away since the last time.
    /// Errors: unavailable, with the parser's words.
    Result<void> ensure_loaded(const HostFacts& facts);

private:
    std::mutex loading_;
};

}  // namespace corten::engine
