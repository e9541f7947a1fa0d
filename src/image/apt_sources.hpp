#pragma once
// Package sources as apt has them: one-line (sources.list(5)) and deb822 style. Parsing only.
#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

struct AptSource {
    std::string uri;
    std::string suite;
    std::vector<std::string> components;
    std::string signed_by;
};

/// Enabled binary sources; what cannot be understood is left out, as there is no one to ask.
std::vector<AptSource> parse_one_line_sources(std::string_view text);
std::vector<AptSource> parse_deb822_sources(std::string_view text);
/// From /etc/apt of this machine.
std::vector<AptSource> host_sources();
/// In deb822 style.
std::string to_deb822(const std::vector<AptSource>& sources);

}  // namespace corten::image
