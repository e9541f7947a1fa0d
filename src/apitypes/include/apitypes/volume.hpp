#pragma once
// Volumes. Source: Docker Engine API 1.51, recorded replies of 28.5.
#include <apitypes/common.hpp>

namespace corten::apitypes {

/// Body of POST /volumes/create.
struct VolumeCreateRequest {
    std::string driver;  ///< empty: local
    OptionalStringMap driver_opts;
    OptionalStringMap labels;
    std::string name;  ///< empty: a random one, and the volume is anonymous

    static constexpr void fields(auto visit) {
        using C = VolumeCreateRequest;
        visit(omit_empty("Driver", &C::driver), omit_empty("DriverOpts", &C::driver_opts),
              omit_empty("Labels", &C::labels), omit_empty("Name", &C::name));
    }
};

/// Only in GET /system/df; -1 is "not known".
struct VolumeUsage {
    std::int64_t ref_count = -1;
    std::int64_t size = -1;
    static constexpr void fields(auto visit) {
        visit(field("RefCount", &VolumeUsage::ref_count), field("Size", &VolumeUsage::size));
    }
};

/// Reply of GET /volumes/{name} and of a create.
struct Volume {
    std::string created_at;  ///< whole seconds
    std::string driver = "local";
    OptionalStringMap labels;
    std::string mountpoint;
    std::string name;
    OptionalStringMap options;
    std::string scope = "local";
    std::optional<VolumeUsage> usage_data;

    static constexpr void fields(auto visit) {
        using C = Volume;
        visit(omit_empty("CreatedAt", &C::created_at), field("Driver", &C::driver),
              field("Labels", &C::labels), field("Mountpoint", &C::mountpoint),
              field("Name", &C::name), field("Options", &C::options), field("Scope", &C::scope),
              omit_empty("UsageData", &C::usage_data));
    }
};

struct VolumeList {
    std::vector<Volume> volumes;
    StringList warnings;
    static constexpr void fields(auto visit) {
        visit(field("Volumes", &VolumeList::volumes), field("Warnings", &VolumeList::warnings));
    }
};

struct VolumesPruned {
    StringList volumes_deleted;
    std::int64_t space_reclaimed = 0;
    static constexpr void fields(auto visit) {
        visit(field("VolumesDeleted", &VolumesPruned::volumes_deleted),
              field("SpaceReclaimed", &VolumesPruned::space_reclaimed));
    }
};

}  // namespace corten::apitypes
