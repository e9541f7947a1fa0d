"""System calls that fail, or that kill their caller, at a moment of a test's choice: strace does it, the program knows nothing of it."""
import collections
import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from .bundles import need
from .clients import Done
from .wait import eventually

LIBC, LIBSECCOMP = ctypes.CDLL(None), ctypes.CDLL("libseccomp.so.2")

# What each call of the runtime's steps is refused with: an error that it may really get, and that is no reason to do without. Those that
# may be done without (EPERM of a user namespace, ENOSYS of an old kernel) are other tests' subject.
REFUSALS = {
    "EACCES": "access chdir fchdir",
    "EAGAIN": "clone clone3 setresgid setresuid",
    "EBUSY": "pivot_root",
    "ECHILD": "wait4 waitid",
    "ECONNREFUSED": "connect",
    "EINVAL": "lseek personality seccomp umount2",
    "EIO": "fstatfs fsync getdents64 pread64 read readlink readlinkat rename renameat renameat2 rmdir statfs unlink unlinkat write",
    "EMFILE": "accept4 dup3 fcntl memfd_create openat openat2 pidfd_open pipe2 signalfd4 socket socketpair",
    "ENOBUFS": "sendmsg sendto",
    "ENOLCK": "flock",
    "ENOMEM": "bind close_range execve execveat fsconfig fsmount fsopen getcwd ioctl keyctl listen mount mount_setattr move_mount "
            "newfstatat open_tree poll ppoll recvfrom recvmsg",
    "ENOSPC": "ftruncate mkdir mkdirat mknodat symlinkat unshare",
    "EPERM": "capset chmod chroot fchmod fchmodat fchown fchownat prctl prlimit64 sched_setattr setdomainname setgroups sethostname setns",
}
ERRORS = {call: error for error, calls in REFUSALS.items() for call in calls.split()}


class Fault(NamedTuple):
    who: str  # "caller": the process that is started; "child": those that it makes, in their own names each
    call: str
    nth: int  # from one
    action: str = ""

    def injection(self):
        return f"inject={self.call}:{self.action or 'error=' + ERRORS[self.call]}:when={self.nth}"


class Strace:
    """Runs commands of a runtime under strace, whose file of the last run is `log`."""

    def __init__(self, folder: Path):
        self.program, self.folder, self.log = need("strace"), folder, folder / "strace"

    def count(self, runtime, *args) -> dict:
        """How often the caller makes each call in a run that nothing disturbs, and how often the child that makes it most."""
        done = self._run_attached(runtime, ["-e", "trace=all"], lambda: None, *args)
        assert done.code == 0, done
        by_process, ended = collections.defaultdict(collections.Counter), set()
        lines = re.findall(r"^(\d+) +(\w+)\((.*)", self.log.read_text(), re.M)
        caller = lines[0][0]
        for pid, call, rest in lines:
            if pid == caller and call == "execve":
                by_process[pid].clear()  # what it did before it was the runtime
            elif pid not in ended:
                by_process[pid][call] += 1
            if pid != caller and call == "execve" and rest.endswith("= 0"):
                ended.add(pid)  # another program, with calls of its own
        counts = {"caller": by_process.pop(caller), "child": collections.Counter()}
        for calls in by_process.values():
            counts["child"] |= calls  # the maximum of each
        return counts

    def run(self, runtime, fault: Fault, counts: dict, *args) -> Done:
        """`counts` are count()'s of the same command."""
        options = ["-e", f"trace={fault.call}", "-e", fault.injection()]
        if fault.who == "child":
            return self._run_attached(runtime, options, lambda: call_in_vain(fault.call, counts["caller"][fault.call] + 10), *args)
        inner, runtime.prefix = runtime.prefix, [self.program, "-qq", "-o", str(self.log), *options]
        try:
            return runtime.run(*args)
        finally:
            runtime.prefix = inner

    def hit(self) -> str:
        """The call that was made to fail; "" when none was."""
        return next((line for line in reversed(self.log.read_text().splitlines()) if "(INJECTED" in line), "")

    def _run_attached(self, runtime, options, before, *args) -> Done:
        """The runtime and what comes of it under strace, which comes to a process of ours that is about to become the runtime."""
        argv = runtime.argv(*args)
        with open(self.folder / "out", "w+b") as out, open(self.folder / "err", "w+b") as err:
            pid = os.fork()
            if pid == 0:
                become(argv, before, out.fileno(), err.fileno())
            os.waitpid(pid, os.WUNTRACED)
            tracer = subprocess.Popen([self.program, "-qq", "-f", "-o", self.log, *options, "-p", str(pid)], stdin=subprocess.DEVNULL)
            try:
                eventually(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text(), "strace", pause=0.001)
                os.kill(pid, signal.SIGCONT)
                _, status = eventually(lambda: (ended := os.waitpid(pid, os.WNOHANG))[0] and ended, "the end", 30, pause=0.002)
                pid = 0
            finally:
                tracer.terminate()  # what goes on after the command goes on alone
                tracer.wait(30)
                if pid:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            out.seek(0), err.seek(0)
            return Done((Path(runtime.program).name, *map(str, args)), os.waitstatus_to_exitcode(status), out.read(), err.read())


def become(argv, before, out, err):
    """In the forked process: stops until it is watched, and then goes on as the program."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0), os.dup2(out, 1), os.dup2(err, 2)
        os.kill(os.getpid(), signal.SIGSTOP)
        before()
        os.execv(argv[0], argv)
    finally:
        os._exit(126)


def call_in_vain(call: str, times: int):
    """So that this process is past any count of interest before it becomes the runtime. Its children count from their birth."""
    number = LIBSECCOMP.seccomp_syscall_resolve_name(call.encode())
    for _ in range(times):
        LIBC.syscall(number, *[ctypes.c_long(-1)] * 6)
