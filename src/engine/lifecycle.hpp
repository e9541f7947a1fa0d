#pragma once
// What happens to a container between create and remove. What a client asks for, from start() to
// remove(), and handle_exit() take the container's operation() themselves; what concerns its
// supervisor is called by whoever holds it.
#include "context.hpp"

namespace corten::engine::lifecycle {

/// A start that was asked for begins to count restarts anew.
enum class StartReason { asked, policy };
Result<void> start(Context& context, const std::shared_ptr<Container>& container,
                   StartReason reason);
Result<void> stop(Context& context, const std::shared_ptr<Container>& container,
                  const StopContainer& request);
Result<void> restart(Context& context, const std::shared_ptr<Container>& container,
                     const StopContainer& request);
Result<void> kill(Context& context, const std::shared_ptr<Container>& container, int signal);
Result<void> pause(Context& context, const std::shared_ptr<Container>& container);
Result<void> unpause(Context& context, const std::shared_ptr<Container>& container);
Result<void> remove(Context& context, const std::shared_ptr<Container>& container,
                    const RemoveContainer& request);

/// The container's first process has ended. Runs on a worker thread.
void handle_exit(Context& context, const std::shared_ptr<Container>& container, std::uint64_t run,
                 const proto::ExitRecord& record);

/// How a run ended whose supervisor is gone: as the exit file says, else killed.
proto::ExitRecord recorded_exit(const Context& context, const std::string& id);

/// Where the container's control group is, in every hierarchy.
std::string cgroup_path_of(const Context& context, const ContainerSpec& spec);
/// Kills what is in a group and removes it: of a container that no row names, or whose supervisor
/// died. "" and a group that is gone are fine; a failure is logged.
void end_cgroup(const Context& context, const std::string& path);

/// The container's supervisor, started when it does not run yet.
Result<std::shared_ptr<proto::ShimClient>> ensure_supervisor(
    Context& context, const std::shared_ptr<Container>& container);
/// Soon there are as many spare supervisors as the configuration says.
void keep_spare_supervisors(Context& context);
/// Whether a supervisor runs, be it that it has just been spawned and does not listen yet.
bool supervisor_lives(const Context& context, const std::string& id);
/// What a supervisor's events lead to.
proto::ShimHandlers supervisor_handlers(Context& context,
                                        const std::shared_ptr<Container>& container);
/// Lets go of a supervisor that was released or has ended (or kills it); its end is reaped later.
enum class ForgetMode { released, kill };
/// Whether the database knows what the exit file tells; otherwise the next daemon reads it.
enum class ExitFile { remove, keep };
void forget_supervisor(Context& context, Container& container, ForgetMode mode, ExitFile file);
/// Ends the supervisor of a container that does not run; one that runs nevertheless goes with it.
void release_supervisor(Context& context, Container& container, ExitFile file = ExitFile::remove);

/// Brings the database, the supervisors that still run and the host into agreement.
Result<void> recover(Context& context);

}  // namespace corten::engine::lifecycle
