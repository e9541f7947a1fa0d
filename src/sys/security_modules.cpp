#include <sys/file.hpp>
#include <sys/security_modules.hpp>
#include <sys/vfs.h>

#include <linux/magic.h>

namespace corten::sys {

bool apparmor_enabled() {
    // Not there: not built in.
    const auto value = read_file("/sys/module/apparmor/parameters/enabled");
    return value && value->starts_with('Y');
}

bool selinux_enabled() {
    struct statfs info{};
    return ::statfs("/sys/fs/selinux", &info) == 0 && info.f_type == SELINUX_MAGIC;
}

}  // namespace corten::sys
