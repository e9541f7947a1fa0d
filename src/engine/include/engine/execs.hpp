#pragma once
// Programs that are started in a running container.
#include <apitypes/exec.hpp>
#include <engine/containers.hpp>

namespace corten::engine {

class Execs {
public:
    explicit Execs(Context& context);

    /// The new exec's id. conflict when the container does not run or is paused.
    Result<std::string> create(std::string_view container_ref, apitypes::ExecCreateRequest config);

    /// Checks that the exec can be started now. not_found "No such exec instance: x".
    Result<std::unique_ptr<Attachment>> prepare_start(std::string_view exec_id,
                                                      const apitypes::ExecStartRequest& request);
    /// Starts it without anybody attached.
    Result<void> start_detached(std::string_view exec_id);
    /// May come before the program has started: waits for it for a moment.
    Result<void> resize(std::string_view exec_id, std::uint16_t rows, std::uint16_t columns);
    Result<apitypes::ExecInspect> inspect(std::string_view exec_id) const;

private:
    Context& context_;
};

}  // namespace corten::engine
