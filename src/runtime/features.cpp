#include "capabilities.hpp"
#include "mount_options.hpp"

#include <oci/capability_names.hpp>
#include <runtime/features.hpp>

namespace corten::runtime {

Features features() {
    return {
        {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
        oci::capability_names(),
        {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
        known_mount_options()};
}

}  // namespace corten::runtime
