#pragma once
// What `run`, `start -a` and `attach` share: a session with a container's main process.
#include "../context.hpp"

namespace corten::cli {

struct AttachedRun {
    std::string id;
    bool tty = false;
    bool input = false;
    bool output = true;
    bool errors = true;
    std::string detach_keys;  ///< as given; empty for the default
    bool proxy_signals = true;
    std::string wait_condition;  ///< next-exit, removed, not-running
    bool start = true;           ///< starts the container once everything is connected
};

/// Attaches, starts when asked to, pumps until the end, and gives the container's exit code; 0 when
/// the user detached. Order of requests: attach, wait, start (docs of the API's wait).
Result<int> run_attached(Client& client, const AttachedRun& run);

/// "conflict" when standard input is to be a container's terminal and is none.
Result<void> check_terminal(bool input, bool tty);

/// Sets the size of a container's or exec's terminal. `path` is "/containers/ID" or "/exec/ID".
Result<void> resize(Client& client, const std::string& path);

}  // namespace corten::cli
