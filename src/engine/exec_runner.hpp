#pragma once
// Starting processes beside a container's own.
#include "context.hpp"

namespace corten::engine {

/// Starts a created exec. With a client its streams go there; when the program cannot be started
/// the reason is written to the client, as docker does, and the exit code is 126 or 127.
Result<void> run_exec(Context& context, const std::string& exec_id,
                      std::optional<ClientStream> client);

void handle_exec_exit(Context& context, Container& container, const proto::ExecExitedEvent& event);

struct ProbeOutcome {
    int exit_code = 0;
    bool timed_out = false;
    std::string output;  ///< the first 4096 bytes
};
/// Runs a health check's command to its end, or kills it after `timeout`.
Result<ProbeOutcome> run_probe(Context& context, const std::shared_ptr<Container>& container,
                               std::vector<std::string> command, sys::Milliseconds timeout);

/// The docker stdcopy header and payload, for text that the engine itself writes to a client.
std::string framed(int stream, std::string_view text);

}  // namespace corten::engine
