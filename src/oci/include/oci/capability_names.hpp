#pragma once
#include <string>
#include <vector>

namespace corten::oci {

/// "CAP_CHOWN" …, in the order of their numbers (capabilities(7), up to Linux 5.9).
const std::vector<std::string>& capability_names();

}  // namespace corten::oci
