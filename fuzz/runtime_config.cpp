// config.json of an OCI bundle, with its mount options and its seccomp section taken apart.
#include "fuzz.hpp"
#include "mount_options.hpp"

#include <oci/runtime_spec.hpp>

#include <seccomp/compile.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto spec = corten::oci::parse_spec(corten::text_of(data, size));
    if (!spec || !corten::oci::validate(*spec)) return 0;
    for (const auto& mount : spec->mounts)
        (void)corten::runtime::parse_mount_options(mount, "mounts");
    if (spec->linux_section.seccomp) (void)corten::seccomp::compile(*spec->linux_section.seccomp);
    return 0;
}
