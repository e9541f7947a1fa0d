#pragma once
// Verbs that take many names (stop, rm -f, ...) send their requests side by side: stopping 20
// containers takes as long as stopping one.
#include "context.hpp"

namespace corten::cli {

/// False: nothing was done and nothing is to be printed, but it is no failure either.
using NameRequest = std::function<Result<bool>(Client& client, const std::string& name)>;

/// Runs `act` on all names, at most 16 at a time, each thread with its own connection. Prints the
/// name of each that succeeded and the error of each that did not, in the order given; the result
/// is exit code 1 if there was an error.
Result<int> echo_each_in_parallel(Context& context, const std::vector<std::string>& names,
                                  const NameRequest& act);

}  // namespace corten::cli
