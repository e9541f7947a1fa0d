#pragma once
// Mounts: HostConfig.Mounts (what was asked) and the inspection's Mounts (what there is).
// Source: Docker Engine API 1.51, Mount and MountPoint.
#include <apitypes/common.hpp>

namespace corten::apitypes {

struct BindOptions {
    std::string propagation;  ///< [r]private, [r]shared, [r]slave
    bool non_recursive = false;
    bool create_mountpoint = false;
    bool read_only_non_recursive = false;
    bool read_only_force_recursive = false;

    static constexpr void fields(auto visit) {
        using C = BindOptions;
        visit(omit_empty("Propagation", &C::propagation),
              omit_empty("NonRecursive", &C::non_recursive),
              omit_empty("CreateMountpoint", &C::create_mountpoint),
              omit_empty("ReadOnlyNonRecursive", &C::read_only_non_recursive),
              omit_empty("ReadOnlyForceRecursive", &C::read_only_force_recursive));
    }
};

struct MountDriver {
    std::string name;
    StringMap options;

    static constexpr void fields(auto visit) {
        visit(omit_empty("Name", &MountDriver::name), omit_empty("Options", &MountDriver::options));
    }
};

struct VolumeOptions {
    bool no_copy = false;
    StringMap labels;
    std::string subpath;
    std::optional<MountDriver> driver_config;

    static constexpr void fields(auto visit) {
        using C = VolumeOptions;
        visit(omit_empty("NoCopy", &C::no_copy), omit_empty("Labels", &C::labels),
              omit_empty("Subpath", &C::subpath), omit_empty("DriverConfig", &C::driver_config));
    }
};

struct ImageOptions {
    std::string subpath;
    static constexpr void fields(auto visit) {
        visit(omit_empty("Subpath", &ImageOptions::subpath));
    }
};

struct TmpfsOptions {
    std::int64_t size_bytes = 0;
    std::uint32_t mode = 0;        ///< permission bits
    std::vector<Strings> options;  ///< {"exec"} or {"uid", "1000"}

    static constexpr void fields(auto visit) {
        using C = TmpfsOptions;
        visit(omit_empty("SizeBytes", &C::size_bytes), omit_empty("Mode", &C::mode),
              omit_empty("Options", &C::options));
    }
};

/// One --mount.
struct Mount {
    std::string type;  ///< bind, volume, tmpfs, image
    std::string source;
    std::string target;
    bool read_only = false;
    std::string consistency;
    std::optional<BindOptions> bind_options;
    std::optional<VolumeOptions> volume_options;
    std::optional<ImageOptions> image_options;
    std::optional<TmpfsOptions> tmpfs_options;

    static constexpr void fields(auto visit) {
        using C = Mount;
        visit(omit_empty("Type", &C::type), omit_empty("Source", &C::source),
              omit_empty("Target", &C::target), omit_empty("ReadOnly", &C::read_only),
              omit_empty("Consistency", &C::consistency),
              omit_empty("BindOptions", &C::bind_options),
              omit_empty("VolumeOptions", &C::volume_options),
              omit_empty("ImageOptions", &C::image_options),
              omit_empty("TmpfsOptions", &C::tmpfs_options));
    }
};

/// A mount of an existing container.
struct MountPoint {
    std::string type;
    std::string name;
    std::string source;
    std::string destination;
    std::string driver;
    std::string mode;
    bool rw = false;
    std::string propagation;

    static constexpr void fields(auto visit) {
        using C = MountPoint;
        visit(omit_empty("Type", &C::type), omit_empty("Name", &C::name),
              field("Source", &C::source), field("Destination", &C::destination),
              omit_empty("Driver", &C::driver), field("Mode", &C::mode), field("RW", &C::rw),
              field("Propagation", &C::propagation));
    }
};

}  // namespace corten::apitypes
