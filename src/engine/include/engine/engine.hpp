#pragma once
// The domain: containers, images, networks, volumes, events. No HTTP in here.
#include <apitypes/disk_owners.hpp>
#include <apitypes/system.hpp>
#include <base/result.hpp>
#include <engine/config.hpp>
#include <engine/containers.hpp>
#include <engine/events.hpp>
#include <engine/execs.hpp>
#include <engine/images.hpp>
#include <engine/networks.hpp>
#include <engine/volumes.hpp>

#include <memory>

namespace corten::engine {

/// What disk_usage() looks at: sizes are counted file by file.
struct DiskUsageParts {
    bool images = true;
    bool containers = true;
    bool volumes = true;
    bool build_cache = true;
};

class Engine {
public:
    /// Starting is recovery: adopts what runs, finishes or undoes what was half done, restarts what
    /// its policy says, removes what belongs to nobody.
    static Result<std::unique_ptr<Engine>> open(Config config);
    /// Containers run on.
    ~Engine();

    Containers& containers() { return *containers_; }
    Execs& execs() { return *execs_; }
    Images& images() { return *images_; }
    Networks& networks() { return *networks_; }
    Volumes& volumes() { return *volumes_; }
    EventHub& events();

    const Config& config() const;
    Result<apitypes::Info> info() const;
    apitypes::Version version() const;
    /// What is not asked for is null.
    Result<apitypes::DiskUsage> disk_usage(const DiskUsageParts& parts) const;
    Result<apitypes::DiskOwners> disk_owners() const;

private:
    explicit Engine(std::unique_ptr<Context> context);

    std::unique_ptr<Context> context_;
    std::unique_ptr<Containers> containers_;
    std::unique_ptr<Execs> execs_;
    std::unique_ptr<Images> images_;
    std::unique_ptr<Networks> networks_;
    std::unique_ptr<Volumes> volumes_;
};

}  // namespace corten::engine
