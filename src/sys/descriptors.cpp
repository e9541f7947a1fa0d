#include <sys/descriptors.hpp>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace corten::sys {
namespace {

/// No list of /proc is asked, which the container may have made. What was opened under a higher
/// limit than now is below the kernel's usual bound, fs.nr_open.
unsigned end_of_descriptors() {
    constexpr rlim_t usual = 1 << 20;
    struct rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return usual;
    return static_cast<unsigned>(std::max(limit.rlim_max, usual));
}

}  // namespace

Result<void> close_range(unsigned first, unsigned last) {
    if (::syscall(SYS_close_range, first, last, 0) == 0) return {};
    if (errno != ENOSYS) return fail_errno("close descriptors");
    const unsigned end = end_of_descriptors();
    for (unsigned fd = first; fd < end && fd <= last; ++fd) ::close(static_cast<int>(fd));
    return {};
}

}  // namespace corten::sys
