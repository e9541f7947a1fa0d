"""Questions to a name server as programs ask them, and a name server that answers for the outside."""
import json
import random
import socket
import socketserver
import struct
import subprocess
import sys
import threading

TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def written(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def question(name: str, kind="A", number=None, size=None) -> bytes:
    number = random.randrange(65536) if number is None else number
    message = struct.pack(">6H", number, 0x0100, 1, 0, 0, 1 if size else 0) + written(name) + struct.pack(">2H", TYPES[kind], 1)
    return message + (b"\0" + struct.pack(">2HIH", 41, size, 0, 0) if size else b"")


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def name_at(message, at) -> str:
    parts = []
    while message[at]:
        if message[at] >= 0xC0:
            at = struct.unpack_from(">H", message, at)[0] & 0x3FFF
        else:
            parts.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
    return ".".join(parts)


def parsed(message: bytes) -> dict:
    number, flags, questions, answers = struct.unpack_from(">4H", message)
    at = 12
    for _ in range(questions):
        at = skip_name(message, at) + 4
    data = []
    for _ in range(answers):
        at = skip_name(message, at)
        kind, _, ttl, size = struct.unpack_from(">2HIH", message, at)
        at += 10
        data.append(socket.inet_ntoa(message[at:at + 4]) if kind == TYPES["A"] else name_at(message, at) if kind == TYPES["PTR"]
                    else message[at:at + size].hex())
        at += size
    return {"id": number, "code": RCODES.get(flags & 15, flags & 15), "truncated": bool(flags & 0x200), "answers": data}


def ask(server, message: bytes, stream=False, timeout=20) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        s.connect(server)
        s.sendall(struct.pack(">H", len(message)) + message if stream else message)
        if not stream:
            return s.recv(65535)
        file = s.makefile("rb")
        size, = struct.unpack(">H", file.read(2))
        return file.read(size)


def ask_in(pid, *, name="", kind="A", stream=False, size=None, raw=None, server="127.0.0.11", timeout=20) -> dict:
    """Asked from the network of a process, as a program in its container would."""
    wanted = {"message": (raw if raw is not None else question(name, kind, size=size)).hex(), "stream": stream, "server": server,
              "timeout": timeout}
    done = subprocess.run(["nsenter", "-t", str(pid), "-n", sys.executable, __file__], input=json.dumps(wanted), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return parsed(bytes.fromhex(done.stdout))


class Upstream:
    """Answers what it is told to on UDP and TCP at port 53 of an address; `asked` is what it heard, with who asked."""

    def __init__(self, address: str, answers: dict, failing=False):
        self.answers, self.failing, self.asked = answers, failing, []
        outer = self

        class Datagrams(socketserver.BaseRequestHandler):
            def handle(self):
                message, s = self.request
                s.sendto(outer.reply(message, "udp", self.client_address[0], 512), self.client_address)

        class Streams(socketserver.StreamRequestHandler):
            def handle(self):
                size, = struct.unpack(">H", self.rfile.read(2))
                reply = outer.reply(self.rfile.read(size), "tcp", self.client_address[0], 65535)
                self.wfile.write(struct.pack(">H", len(reply)) + reply)

        socketserver.TCPServer.allow_reuse_address = True
        self.servers = [socketserver.ThreadingUDPServer((address, 53), Datagrams), socketserver.ThreadingTCPServer((address, 53), Streams)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()

    def reply(self, message, transport, client, limit) -> bytes:
        name = name_at(message, 12)
        self.asked.append((name, transport, client))
        end = skip_name(message, 12) + 4
        found = self.answers.get(name)
        code = 2 if self.failing else 0 if found is not None else 3
        records = b"".join(b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 60, 4) + socket.inet_aton(a) for a in found or [])
        truncated = end + len(records) > limit
        header = message[:2] + struct.pack(">5H", 0x8180 | code | (0x200 if truncated else 0), 1, 0 if truncated else len(found or []), 0, 0)
        return header + message[12:end] + (b"" if truncated else records)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(ask((given["server"], 53), bytes.fromhex(given["message"]), given["stream"], given["timeout"]).hex())
