#pragma once
// The descriptors that the caller left us. Only what was open before we opened anything may go on
// into a container: under a number that was free stands something of ours, and so of the host.
#include <base/result.hpp>

namespace corten::runtime_cli {

/// Those of 0, 1 and 2 that are missing become /dev/null. Before anything else is opened.
Result<void> open_missing_streams();

/// How many descriptors from 3 on socket activation gave to this very process (sd_listen_fds(3)):
/// 0 when LISTEN_PID names another, whose variables came along.
int listen_fds();

/// invalid unless the `count` descriptors from 3 on are open. Before we open any that stays.
Result<void> check_inherited(int count);

}  // namespace corten::runtime_cli
