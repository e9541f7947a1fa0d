#include <runtime/unbuilt.hpp>
#include <sys/file.hpp>

namespace corten::runtime {
namespace {

/// The file system shows this directory wherever the processor has any of its features.
bool host_has_resctrl() {
    return sys::exists("/sys/fs/resctrl/info");
}

}  // namespace

Error no_resctrl(std::string_view field) {
    if (host_has_resctrl())
        return fail(ErrorKind::not_built, "{}: classes of cache and bandwidth are not built",
                    field);
    return fail(ErrorKind::unsupported,
                "{}: this host has no resctrl (CONFIG_X86_CPU_RESCTRL, mounted on /sys/fs/resctrl)",
                field);
}

Result<void> refuse_unbuilt(const oci::Linux& section) {
    if (section.intel_rdt) return no_resctrl("linux.intelRdt");
    if (section.net_devices.empty()) return {};
    return fail(ErrorKind::not_built,
                "linux.netDevices: interfaces of the host are not moved into containers, {} is one",
                section.net_devices.begin()->first);
}

}  // namespace corten::runtime
