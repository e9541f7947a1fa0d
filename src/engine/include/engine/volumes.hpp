#pragma once
#include <apitypes/volume.hpp>
#include <base/stream.hpp>
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
    /// The files of a volume as a tar stream, which may be in use meanwhile.
    Result<void> export_archive(std::string_view name, const ByteSink& sink) const;
    /// Makes a volume of a tar stream, compressed or not: all of it or nothing. conflict when there
    /// is one of that name.
    Result<apitypes::Volume> import_archive(std::string_view name, const ByteSource& source);

private:
    Context& context_;
};

}  // namespace corten::engine
