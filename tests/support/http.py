"""HTTP over a unix socket, from the polite kind down to single bytes."""
import http.client
import json
import socket

from .wait import SLOWNESS


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout * SLOWNESS)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """The text of an error reply, which must be the object that Docker's clients understand."""
        assert self.headers.get("Content-Type") == "application/json", f"{self!r} is not exactly application/json"
        return self.json()["message"]

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Api:
    """The Engine API of one daemon, one connection per request."""

    def __init__(self, path):
        self.path = str(path)

    def request(self, method, url, body=None, headers=None, timeout=30) -> Reply:
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = UnixConnection(self.path, timeout)
        try:
            connection.request(method, url, body, headers)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, url, **more):
        return self.request("GET", url, **more)

    def post(self, url, body=None, **more):
        return self.request("POST", url, body, **more)

    def delete(self, url, **more):
        return self.request("DELETE", url, **more)

    def socket(self, timeout=30) -> socket.socket:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        s.connect(self.path)
        return s

    def raw(self, data: bytes, timeout=30) -> bytes:
        """Sends bytes as they are and returns everything that comes back until the daemon closes."""
        with self.socket(timeout) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_all(s)

    def alive(self) -> bool:
        try:
            return self.get("/_ping", timeout=5).status == 200
        except OSError:
            return False


def read_all(s: socket.socket) -> bytes:
    parts = []
    while True:
        try:
            part = s.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_until(s: socket.socket, mark: bytes, limit=1 << 20) -> bytes:
    """Reads to the first `mark`, included; what follows it may be read along."""
    got = b""
    while mark not in got:
        part = s.recv(1 << 14)
        assert part, f"the connection ended before {mark!r}: {got[-300:]!r}"
        got += part
        assert len(got) < limit, f"no {mark!r} in {limit} bytes"
    return got


def frames(data: bytes):
    """Splits a multiplexed stream into (stream number, payload)."""
    while data:
        assert len(data) >= 8 and data[1:4] == b"\0\0\0", f"not a frame: {data[:16]!r}"
        size = int.from_bytes(data[4:8], "big")
        assert len(data) >= 8 + size, "the last frame is cut short"
        yield data[0], data[8:8 + size]
        data = data[8 + size:]
