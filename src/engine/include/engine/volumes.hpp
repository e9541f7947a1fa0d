#pragma once
#include <apitypes/volume.hpp>
#include <engine/events.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::engine {

class Context;

class Volumes {
public:
    explicit Volumes(Context& context);

    Result<std::vector<apitypes::Volume>> list(const Filters& filters) const;
    /// The same with sizes and reference counts, which take a walk over all files.
    Result<std::vector<apitypes::Volume>> list_with_usage() const;
    Result<apitypes::Volume> inspect(std::string_view name) const;
    /// An existing volume of that name is given back as it is.
    Result<apitypes::Volume> create(const apitypes::VolumeCreateRequest& request);
    /// conflict while a container refers to it; a missing one is not_found, or fine with `force`.
    Result<void> remove(std::string_view name, bool force);
    Result<apitypes::VolumesPruned> prune(const Filters& filters);

private:
    Context& context_;
};

}  // namespace corten::engine
