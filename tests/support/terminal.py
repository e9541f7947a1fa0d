"""A client in a real terminal."""
import re

import pexpect

from .wait import SLOWNESS


class Terminal:
    """A spawned client on a pseudo terminal; `rows` and `columns` are its window."""

    def __init__(self, client, *args, rows=30, columns=100, timeout=20):
        argv = client.argv(*args)
        self.child = pexpect.spawn(argv[0], argv[1:], env=client.environment(), dimensions=(rows, columns),
                                   timeout=timeout * SLOWNESS, encoding="utf-8", codec_errors="replace", echo=False)
        self.child.delaybeforesend = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.close(force=True)

    def expect(self, pattern, timeout=-1) -> re.Match:
        self.child.expect(pattern, timeout=timeout)
        return self.child.match

    def send(self, text):
        self.child.send(text)

    def line(self, text):
        self.child.send(text + "\r")

    def shell(self, command) -> str:
        """Types a command at a shell's prompt and returns what it printed.

        The marks are written so that the terminal's echo of the command is not taken for its output.
        """
        self.line(f"echo be''gin; {command}; echo e''nd")
        self.expect(r"begin\r\n")
        self.expect(r"(?s)(.*?)end\r\n")
        return self.child.match[1].replace("\r\n", "\n").rstrip("\n")

    def resize(self, rows, columns):
        self.child.setwinsize(rows, columns)

    def detach(self):
        self.child.send("\x10\x11")
        self.ends()

    def ends(self, timeout=20) -> int:
        """Waits for the client's end and returns its exit code."""
        self.child.expect(pexpect.EOF, timeout=timeout * SLOWNESS)
        self.child.close()
        return self.child.exitstatus
