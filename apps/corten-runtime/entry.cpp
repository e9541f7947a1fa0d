// The program's first instructions, before those of the C library: runtime::run_sealed()'s way by a
// read-only mount, taken before anything was set up that the next start sets up again. What fails
// here is left to main(), which calls run_sealed() in any case.
//
// The start of a C library is most of what a small program costs: glibc 2.36 asks an Intel
// processor 68 times what it is (CPUID), and in a virtual machine the host answers, in 12 us each
// where this was measured (docs/speed.md).
//
// Nothing is relocated yet and there is no thread-local storage, so no function of a library, no
// table of addresses and no stack protector may be used here (CMakeLists.txt sees to the last).
#include <sys/statfs.h>

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mount.h>

namespace {

long system_call(long number, long a, long b, long c, long d = 0, long e = 0) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result = number;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

template <class T>
long address(T* pointer) {
    return reinterpret_cast<long>(pointer);
}

bool equal(const char* a, const char* b) {
    for (; *a == *b; ++a, ++b)
        if (*a == '\0') return true;
    return false;
}

/// A container that is called "run" costs its delete a start more, and nothing else.
bool may_enter_container(char* const* argv) {
    for (; *argv != nullptr; ++argv)
        if (equal(*argv, "create") || equal(*argv, "run") || equal(*argv, "exec") ||
            equal(*argv, "restore"))
            return true;
    return false;
}

bool is_read_only(long fd) {
    struct ::statfs info;          // not set to zero: that may be a call of memset()
    constexpr long read_only = 1;  // ST_RDONLY
    if (system_call(__NR_fstatfs, fd, address(&info), 0) != 0) return false;
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the kernel has filled it
    return (info.f_flags & read_only) != 0;
}

void run_from_read_only_mount(long self, char* const* argv, char* const* environment) {
    constexpr long this_file = AT_EMPTY_PATH;
    const long tree = system_call(__NR_open_tree, self, address(""),
                                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | this_file);
    if (tree < 0) return;
    constexpr unsigned long is_private = 1UL << 18;  // MS_PRIVATE
    const ::mount_attr wanted{.attr_set = MOUNT_ATTR_RDONLY, .propagation = is_private};
    if (system_call(__NR_mount_setattr, tree, address(""), this_file, address(&wanted),
                    sizeof wanted) == 0)
        system_call(__NR_execveat, tree, address(""), address(argv), address(environment),
                    this_file);
    system_call(__NR_close, tree, 0, 0);
}

}  // namespace

/// @param stack as the kernel leaves it: the count of arguments, they, a null, the environment
extern "C" __attribute__((used, visibility("hidden"))) void corten_before_library(long* stack) {
    auto** argv = reinterpret_cast<char**>(stack + 1);
    if (!may_enter_container(argv)) return;
    const long self =
        system_call(__NR_openat, AT_FDCWD, address("/proc/self/exe"), O_RDONLY | O_CLOEXEC);
    if (self < 0) return;
    if (!is_read_only(self)) run_from_read_only_mount(self, argv, argv + *stack + 1);
    system_call(__NR_close, self, 0, 0);
}

// What the C library's own entry finds must be as the kernel left it: the stack, and rdx.
__asm__(R"(
    .text
    .globl corten_entry
    .hidden corten_entry
    .type corten_entry, @function
corten_entry:
    mov %rsp, %rdi
    mov %rdx, %rbx
    call corten_before_library
    mov %rbx, %rdx
    jmp _start
    .size corten_entry, . - corten_entry
)");
