#pragma once
// Runs programs of the distribution and reads what they print.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

using LineSink = std::function<void(std::string_view line)>;

/// Searched for in the usual directories; unavailable, naming `package`, when it is not there.
Result<std::string> find_program(const std::string& name, std::string_view package);

/// Runs `program` (an absolute path) to its end; each line of its two outputs goes to `line`. It is
/// killed when `cancel` becomes readable. An exit code other than 0 is an error with the last
/// lines.
Result<void> run_program(const std::string& program, const std::vector<std::string>& arguments,
                         const LineSink& line, FdView cancel);

}  // namespace corten::image
