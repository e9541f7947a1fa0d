#pragma once
// What the two kinds of bootstrap share.
#include <image/bootstrap.hpp>

namespace corten::image {

struct BootstrapContext {
    storage::Store& store;
    std::string directory;  ///< an empty directory of ours, removed afterwards
    const ProgressSink& progress;
    FdView cancel;
    BuildOptions options;

    void say(std::string_view line) const { progress({.status = std::string(line)}); }
};

/// `name` is the distribution that this host runs.
Result<Bootstrapped> bootstrap_distribution(const BootstrapContext& context, std::string_view name);
Result<Bootstrapped> bootstrap_busybox(const BootstrapContext& context);

/// Records `tar` as an image with `command` that is called repository:tag for each tag.
Result<Bootstrapped> record_bootstrap(const BootstrapContext& context, storage::Source& tar,
                                      const std::string& repository,
                                      const std::vector<std::string>& tags,
                                      const std::string& command);

}  // namespace corten::image
