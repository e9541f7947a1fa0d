"""The client's side of a websocket (RFC 6455), no more than tests need."""
import base64
import hashlib
import os

from .http import read_until

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


class WebSocket:
    def __init__(self, api, path):
        self.socket = api.socket()
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (path.encode(), key))
        head, _, self.got = read_until(self.socket, b"\r\n\r\n").partition(b"\r\n\r\n")
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        assert head.startswith(b"HTTP/1.1 101 ") and b"Sec-WebSocket-Accept: " + accept in head, head
        self.content, self.kinds, self.pongs, self.closed_with = b"", set(), [], None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def frame(self, first, content):
        size = len(content)
        length = bytes([size | 128]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 1 << 16 else b"\xff" + size.to_bytes(8, "big")
        mask = os.urandom(4)
        return bytes([first]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(content))

    def send(self, content, parts=1):
        """One message, of several frames if asked."""
        step = -(-len(content) // parts)
        pieces = [content[at:at + step] for at in range(0, len(content), step)]
        for n, piece in enumerate(pieces):
            last = n == len(pieces) - 1
            self.socket.sendall(self.frame((0x80 if last else 0) | (0 if n else 2), piece))

    def ping(self, content):
        self.socket.sendall(self.frame(0x80 | PING, content))

    def close(self):
        self.socket.sendall(self.frame(0x80 | CLOSE, (1000).to_bytes(2, "big")))

    def pong(self):
        while not self.pongs:
            assert self.next_frame(), "the connection ended without a pong"
        return self.pongs.pop()

    def read(self, size):
        while len(self.content) < size:
            assert self.next_frame(), f"the connection ended after {self.content!r}"
        out, self.content = self.content[:size], self.content[size:]
        return out

    def read_all(self):
        while self.next_frame():
            pass
        out, self.content = self.content, b""
        return out

    def take(self, size):
        while len(self.got) < size:
            part = self.socket.recv(1 << 16)
            if not part:
                return None
            self.got += part
        out, self.got = self.got[:size], self.got[size:]
        return out

    def next_frame(self):
        """False at the end."""
        start = self.take(2)
        if start is None:
            return False
        size = start[1]
        assert size < 128, "a server's frame is masked"
        if size >= 126:
            size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
        content, kind = self.take(size), start[0] & 15
        if kind == CLOSE:
            self.closed_with = int.from_bytes(content[:2], "big")
        elif kind == PONG:
            self.pongs.append(content)
        else:
            self.kinds.add(kind)
            self.content += content
        return True
