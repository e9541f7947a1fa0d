"""Another machine, as far as the host can tell: a network namespace at the end of a cable."""
import contextlib
import os
import subprocess
import sys

SERVER = """
import socket, sys
s = socket.create_server((sys.argv[1], 0))
print(s.getsockname()[1], flush=True)
while True:
    c, peer = s.accept()
    print(peer[0], flush=True)
    c.sendall(sys.argv[2].encode())
    c.close()
"""
ASK = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
s.settimeout(2)
sys.stdout.write(s.recv(100).decode())
"""


class Outside:
    """A namespace with one address, whose only route is to the host's end of the cable."""
    _count = 0

    def __init__(self):
        Outside._count += 1
        self.tag = f"cto{os.getpid() % 100000}x{Outside._count}"
        third = Outside._count % 250
        self.host_address, self.address = f"198.18.{third}.1", f"198.18.{third}.2"
        self.peers = []
        host_end, far_end = f"{self.tag[:12]}h", f"{self.tag[:12]}f"
        self.host_end = host_end
        self._ip("netns", "add", self.tag)
        self._ip("link", "add", host_end, "type", "veth", "peer", "name", far_end, "netns", self.tag)
        self._ip("addr", "add", f"{self.host_address}/30", "dev", host_end)
        self._ip("link", "set", host_end, "up")
        self._ip("-n", self.tag, "addr", "add", f"{self.address}/30", "dev", far_end)
        self._ip("-n", self.tag, "link", "set", far_end, "up")
        self._ip("-n", self.tag, "link", "set", "lo", "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def _ip(*args):
        subprocess.run(["ip", *args], check=True)

    def argv(self, *args):
        return ["nsenter", f"--net=/run/netns/{self.tag}", *args]

    @contextlib.contextmanager
    def server(self, greeting: bytes):
        """Greets every caller; yields the port and notes the callers' addresses in `peers`."""
        process = subprocess.Popen(self.argv(sys.executable, "-c", SERVER, self.address, greeting.decode()), stdout=subprocess.PIPE, text=True)
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
            self.peers += process.stdout.read().split()
            process.wait()

    def ask(self, address, port) -> str:
        """What a server at `address` says to this machine; "" where it does not answer."""
        done = subprocess.run(self.argv(sys.executable, "-c", ASK, address, str(port)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout

    def close(self):
        subprocess.run(["ip", "link", "del", self.host_end], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "del", self.tag], stderr=subprocess.DEVNULL)
