#include "erofs_mount.hpp"

#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/mount.hpp>

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>

#include <cerrno>

namespace corten::storage {

namespace {

Result<Fd> mount_source(const std::string& source) {
    const auto context = TRY(sys::FileSystemContext::open("erofs"));
    TRY(context.set("source", source));
    TRY(context.set_flag("ro"));
    return context.mount(MOUNT_ATTR_RDONLY);
}

/// Reads only, and goes away with its last user, which the mount is soon.
Result<Fd> attach_loop_device(FdView image, std::string& path) {
    const Fd control = TRY(sys::open("/dev/loop-control", O_RDWR));
    constexpr int attempts = 64;  // others look for a free one too
    for (int i = 0; i < attempts; ++i) {
        const int number = ::ioctl(control.raw(), LOOP_CTL_GET_FREE);
        if (number < 0) return fail_errno("find a free loop device");
        path = fmt::format("/dev/loop{}", number);
        Fd device = TRY(sys::open(path, O_RDONLY));
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(image.raw());
        config.block_size = 4096;
        config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
        if (::ioctl(device.raw(), LOOP_CONFIGURE, &config) == 0) return device;
        if (errno != EBUSY) return fail_errno("set up {}", path);
    }
    return fail(ErrorKind::unavailable, "no loop device stayed free for long enough");
}

Result<Fd> mount_by_loop(const std::string& path) {
    const Fd image = TRY(sys::open(path, O_RDONLY | O_NOFOLLOW));
    std::string device_path;
    const Fd device = TRY(attach_loop_device(image, device_path));
    return mount_source(device_path);
}

Result<Fd> mount_by_file(const std::string& path) {
    auto mounted = mount_source(path);
    // What kernels say that mount block devices only: before Linux 6.12, or built without it.
    if (!mounted && mounted.error().number() == ENOTBLK)
        return std::move(mounted).error().with_kind(ErrorKind::unsupported);
    return mounted;
}

}  // namespace

Result<Fd> mount_erofs(const std::string& path, ErofsMount method) {
    if (method == ErofsMount::loop) return mount_by_loop(path);
    auto mounted = mount_by_file(path);
    const bool only_devices = !mounted && mounted.error().number() == ENOTBLK;
    if (method == ErofsMount::file || !only_devices) return mounted;
    return mount_by_loop(path);
}

}  // namespace corten::storage
