#pragma once
// What happens to a container between create and remove. Functions that take a Container lock its
// operation() themselves unless their name ends in _locked.
#include "context.hpp"

namespace corten::engine::lifecycle {

Result<void> start(Context& context, const std::shared_ptr<Container>& container);
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

/// Where the container's control group is, in every hierarchy.
std::string cgroup_path_of(const Context& context, const ContainerSpec& spec);
/// Kills what is in a group and removes it: of a container that no row names, or whose supervisor
/// died. "" and a group that is gone are fine; a failure is logged.
void end_cgroup(const Context& context, const std::string& path);

/// The container's supervisor, started when it does not run yet.
Result<std::shared_ptr<proto::ShimClient>> ensure_supervisor(
    Context& context, const std::shared_ptr<Container>& container);
/// Whether a supervisor runs, be it that it has just been spawned and does not listen yet.
bool supervisor_lives(const Context& context, const std::string& id);
/// What a supervisor's events lead to.
proto::ShimHandlers supervisor_handlers(Context& context,
                                        const std::shared_ptr<Container>& container);
/// Lets go of a supervisor that was released or has ended (or kills it); its end is reaped later.
enum class ForgetMode { released, kill };
void forget_supervisor(Context& context, Container& container, ForgetMode mode);
/// Ends the supervisor of a container that does not run.
void release_supervisor(Context& context, Container& container);

/// Brings the database, the supervisors that still run and the host into agreement.
Result<void> recover(Context& context);

}  // namespace corten::engine::lifecycle
