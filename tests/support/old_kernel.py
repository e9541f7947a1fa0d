"""Runs a program on what looks to it like an older kernel: python3 old_kernel.py CALL,… PROGRAM ARGUMENT…

Each of the calls answers "function not implemented", for the program and all that it starts."""
import ctypes
import errno
import os
import struct
import sys

# The same on every architecture: all are younger than the common table.
NUMBERS = {"pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "mount_setattr": 442}
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, MODE_FILTER = 22, 2


def program(calls):
    """Classic BPF: loads the number of the call and compares."""
    code = [(LOAD, 0, 0, 0)]
    for call in calls:
        code += [(JUMP_EQUAL, 0, 1, NUMBERS[call]), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    return b"".join(struct.pack("HBBI", *line) for line in [*code, (RETURN, 0, 0, ALLOW)])


def install(calls):
    code = program(calls)
    text = ctypes.create_string_buffer(code, len(code))
    filters = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, MODE_FILTER, filters, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    install(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
