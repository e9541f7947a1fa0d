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
    const int seals = ::fcntl(self.raw(), F_GET_SEALS);
    return seals >= 0 && (seals & all_seals) == all_seals;
}

Result<Fd> read_only_mount(FdView self) {
    Fd tree = TRY(sys::clone_mount(self, "", sys::Depth::single));
    TRY(sys::set_mount_attributes(tree, {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE},
                                  sys::Depth::single));
    return tree;
}

/// Since Linux 6.3 it has to be said that one is for a program, or vm.memfd_noexec may forbid to
/// execute it; an older kernel does not know the flag.
Result<Fd> memory_for_program() {
    constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING, executable = 0x10;  // MFD_EXEC
    Fd memory(::memfd_create("corten-runtime", flags | executable));
    if (!memory && errno == EINVAL) memory = Fd(::memfd_create("corten-runtime", flags));
    if (!memory && errno == EACCES)
        return fail_errno("memfd_create for the program: vm.memfd_noexec is 2");
    if (!memory) return fail_errno("memfd_create");
    return memory;
}

Result<Fd> sealed_copy(FdView self) {
    struct ::stat info{};
    if (::fstat(self.raw(), &info) < 0) return fail_errno("stat /proc/self/exe");
    Fd copy = TRY(memory_for_program());
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
