// config.json of an OCI bundle, with its seccomp section compiled.
#include "fuzz.hpp"

#include <oci/runtime_spec.hpp>

#include <seccomp/compile.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto spec = corten::oci::parse_spec(corten::text_of(data, size));
    if (!spec || !corten::oci::validate(*spec)) return 0;
    if (spec->linux_section.seccomp) (void)corten::seccomp::compile(*spec->linux_section.seccomp);
    return 0;
}
