#include <runtime/sealed.hpp>
#include <sys/file.hpp>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

extern char** environ;

namespace corten::runtime {
namespace {

constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool is_sealed(FdView self) {
    struct statvfs info{};
    if (::fstatvfs(self.raw(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0) return true;
    return ::fcntl(self.raw(), F_GET_SEALS) == all_seals;
}

Result<Fd> read_only_mount(FdView self) {
    Fd tree = TRY(sys::clone_mount(self, "", sys::Depth::single));
    TRY(sys::set_mount_attributes(tree, {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE},
                                  sys::Depth::single));
    return tree;
}

Result<Fd> sealed_copy(FdView self) {
    struct ::stat info{};
    if (::fstat(self.raw(), &info) < 0) return fail_errno("stat /proc/self/exe");
    Fd copy(::memfd_create("corten-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!copy) return fail_errno("memfd_create");
    for (off_t left = info.st_size; left > 0;) {
        const ssize_t n =
            ::sendfile(copy.raw(), self.raw(), nullptr, static_cast<std::size_t>(left));
        if (n <= 0) return fail_errno("copy the program");
        left -= n;
    }
    if (::fcntl(copy.raw(), F_ADD_SEALS, all_seals) < 0) return fail_errno("seal the program");
    return copy;
}

}  // namespace

Result<void> run_sealed(char** argv) {
    const Fd self = TRY(sys::open("/proc/self/exe", O_RDONLY));
    if (is_sealed(self)) return {};
    auto program = read_only_mount(self);
    if (!program) program = sealed_copy(self);
    const Fd file = TRY(std::move(program));
    ::syscall(SYS_execveat, file.raw(), "", argv, environ, AT_EMPTY_PATH);
    return fail_errno("run the program from a sealed file");
}

}  // namespace corten::runtime
