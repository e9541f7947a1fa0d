// The kernel's price of one container: the system calls that cannot be left out, one after the
// other, by a program that does nothing else. No bridge, no seccomp, no daemon, no client: what an
// engine takes on top of this is the engine's.
//
//   floor ROOTFS PROGRAM ROUNDS      as root; prints the milliseconds of each round, a line each
//
// A round makes a cgroup in every hierarchy that is mounted, an overlay over ROOTFS, and a process
// in new pid, mount, uts, ipc, cgroup and network namespaces that joins the cgroups, pivots into
// the overlay, mounts /proc and executes PROGRAM; then it waits for the end and takes all away.
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { max_hierarchies = 24, path_size = 512 };

struct round {
    const char* program;
    const char* merged;
    char (*cgroups)[path_size];
    int count;
};

static void fail(const char* step) {
    fprintf(stderr, "floor: %s: %s\n", step, strerror(errno));
    exit(1);
}

static char* format(char* out, const char* pattern, ...) {
    va_list args;
    va_start(args, pattern);
    if (vsnprintf(out, path_size, pattern, args) >= path_size) {
        errno = ENAMETOOLONG;
        fail(pattern);
    }
    va_end(args);
    return out;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// The mount point of every cgroup hierarchy, v1 and v2 alike.
static int find_hierarchies(char points[][path_size]) {
    FILE* table = fopen("/proc/self/mounts", "re");
    if (!table) fail("/proc/self/mounts");
    char point[path_size], kind[64];
    int count = 0;
    while (count < max_hierarchies && fscanf(table, "%*s %511s %63s %*[^\n]", point, kind) == 2)
        if (!strcmp(kind, "cgroup") || !strcmp(kind, "cgroup2")) strcpy(points[count++], point);
    fclose(table);
    return count;
}

static int write_text(const char* path, const char* text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t done = write(fd, text, strlen(text));
    close(fd);
    return done < 0 ? -1 : 0;
}

// A v1 cpuset starts without processors or memory and takes no process until it has both.
static void give_cpuset(const char* parent, const char* child) {
    static const char* const names[] = {"cpuset.cpus", "cpuset.mems"};
    for (int i = 0; i < 2; i++) {
        char path[path_size], value[256] = "";
        int fd = open(format(path, "%s/%s", parent, names[i]), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return;
        if (read(fd, value, sizeof value - 1) > 0)
            write_text(format(path, "%s/%s", child, names[i]), value);
        close(fd);
    }
}

// In the child: single-threaded, in all its new namespaces, still in the host's root.
static int child(void* argument) {
    const struct round* r = argument;
    char path[path_size];
    for (int i = 0; i < r->count; i++)
        if (write_text(format(path, "%s/cgroup.procs", r->cgroups[i]), "0")) _exit(90);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) _exit(91);
    if (mount(r->merged, r->merged, NULL, MS_BIND, NULL)) _exit(92);
    if (chdir(r->merged) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH))
        _exit(93);
    if (chdir("/") || mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
        _exit(94);
    execl(r->program, r->program, (char*)NULL);
    _exit(95);
}

static void one_round(struct round* r, char parents[][path_size], const char* options) {
    static char stack[1 << 16] __attribute__((aligned(16)));
    const int namespaces =
        CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET;
    for (int i = 0; i < r->count; i++) {
        if (mkdir(r->cgroups[i], 0755)) fail(r->cgroups[i]);
        give_cpuset(parents[i], r->cgroups[i]);
    }
    if (mount("overlay", r->merged, "overlay", 0, options)) fail("mount overlay");
    int pid = clone(child, stack + sizeof stack, namespaces | SIGCHLD, r), status;
    if (pid < 0) fail("clone");
    if (waitpid(pid, &status, 0) != pid) fail("waitpid");
    if (status) {
        fprintf(stderr, "floor: the child ended with status 0x%x\n", status);
        exit(1);
    }
    if (umount2(r->merged, MNT_DETACH)) fail("umount");
    for (int i = 0; i < r->count; i++)
        if (rmdir(r->cgroups[i])) fail("rmdir of a cgroup");
}

int main(int argc, char** argv) {
    int rounds = argc == 4 ? atoi(argv[3]) : 0;
    if (rounds < 1) {
        fprintf(stderr, "usage: floor ROOTFS PROGRAM ROUNDS\n");
        return 2;
    }
    static char parents[max_hierarchies][path_size], cgroups[max_hierarchies][path_size];
    char base[] = "/tmp/corten-floor.XXXXXX", merged[path_size], upper[path_size], work[path_size],
         options[path_size];
    struct round r = {argv[2], merged, cgroups, find_hierarchies(parents)};
    for (int i = 0; i < r.count; i++)
        format(cgroups[i], "%s/corten-floor-%d", parents[i], getpid());
    if (!mkdtemp(base)) fail("mkdtemp");
    if (mkdir(format(merged, "%s/merged", base), 0755) ||
        mkdir(format(upper, "%s/upper", base), 0755) || mkdir(format(work, "%s/work", base), 0755))
        fail("mkdir");
    format(options, "lowerdir=%s,upperdir=%s,workdir=%s", argv[1], upper, work);
    for (int i = 0; i < rounds; i++) {
        double began = milliseconds();
        one_round(&r, parents, options);
        printf("%.3f\n", milliseconds() - began);
        fflush(stdout);
    }
    char inner[path_size];
    if (rmdir(format(inner, "%s/work", work)) || rmdir(work) || rmdir(upper) || rmdir(merged) ||
        rmdir(base))
        perror("floor: clean-up");
    return 0;
}
