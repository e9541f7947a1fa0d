"""Registries on loopback: a real one, and one that misbehaves on request."""
import base64
import ctypes
import http.server
import json
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

from .engines import free_port
from .images import Image, Index, Pusher, digest_of
from .wait import eventually


class RealRegistry:
    """Debian's docker-registry with its own storage; `users` maps names to passwords.

    With `tls`, a (certificate, key), it speaks HTTPS and nothing else; with `clients`, an authority's certificate, only to
    who has a certificate of that authority. The tests' own uploads then need `trust`, an ssl.SSLContext.
    """

    def __init__(self, users=None, host="127.0.0.1", tls=None, clients=None, trust=None):
        self.folder = Path(tempfile.mkdtemp(prefix="corten-t-registry-", dir="/tmp"))
        self.port = free_port(host)
        self.address = f"{host}:{self.port}"
        secure = ", tls: {{certificate: {}, key: {}{}}}".format(*tls, f", clientcas: [{clients}]" if clients else "") if tls else ""
        lines = ["version: 0.1", "log: {level: warn}", f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}, delete: {{enabled: true}}}}",
                 f"http: {{addr: '{self.address}'{secure}}}"]
        auth = ""
        if users:
            (self.folder / "htpasswd").write_text("".join(f"{u}:{bcrypt(p)}\n" for u, p in users.items()))
            lines.append(f"auth: {{htpasswd: {{realm: tests, path: {self.folder}/htpasswd}}}}")
            auth = "Basic " + base64.b64encode(":".join(next(iter(users.items()))).encode()).decode()
        (self.folder / "config.yml").write_text("\n".join(lines) + "\n")
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", str(self.folder / "config.yml")],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.pusher = Pusher(self.address, auth, trust)
        eventually(self._answers, "an answer from docker-registry", 20)

    def _answers(self):
        try:
            return self.pusher._send("GET", "/v2/").status == 200
        except OSError:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return False

    def push(self, repo, tag, what) -> str:
        """Pushes and returns the reference to pull it by."""
        self.pusher.push(repo, tag, what)
        return f"{self.address}/{repo}:{tag}"

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def bcrypt(password: str) -> str:
    """htpasswd's own hash of a password; the registry takes no other kind."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt_gensalt.restype = library.crypt.restype = ctypes.c_char_p
    salt = library.crypt_gensalt(b"$2b$", 4, None, 0)
    return library.crypt(password.encode(), ctypes.c_char_p(salt)).decode()


class FaultyRegistry:
    """Serves images from memory and breaks the reply of chosen paths.

    `faults` maps a regular expression for the path to a function(handler, body, content_type) that
    writes the reply itself; `requests` records what was asked, for tests about what was not. Blobs are sent in parts where
    parts are asked for. With `tokens`, a TokenServer, it takes nothing else.
    """
    tokens = None

    def __init__(self, host="127.0.0.1", tls=None, port=0):
        """`tls` is a server's ssl.SSLContext, for HTTPS."""
        self.faults, self.requests, self.content = {}, [], {}
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                registry.requests.append((self.command, self.path, dict(self.headers)))
                registry.answer(self)

            do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        if tls:  # the handshake is done by the connection's thread, with its first read
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.address = f"{host}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def put(self, repo, tag, what) -> str:
        if isinstance(what, Index):
            for each in what.images:
                self.put(repo, each.digest, each)
        elif isinstance(what, Image):
            for blob in (what.config, *what.layers):
                self.content[f"/v2/{repo}/blobs/{blob.digest}"] = (blob.data, "application/octet-stream")
        for name in (tag, what.digest):
            self.content[f"/v2/{repo}/manifests/{name}"] = (what.manifest.data, what.manifest.media_type)
        return f"{self.address}/{repo}:{tag}"

    def admits(self, handler) -> bool:
        """Whether the request may go on; has answered otherwise."""
        if not self.tokens or not handler.path.startswith("/v2/"):
            return True
        wanted = self.tokens.scopes_for(handler.command, handler.path)
        if self.tokens.allows(handler.headers.get("Authorization", ""), wanted):
            return True
        read_body(handler)
        reply(handler, b"{}", "application/json", status=401, headers={"WWW-Authenticate": self.tokens.challenge(wanted)})
        return False

    def answer(self, handler):
        if not self.admits(handler):
            return None
        if handler.path.rstrip("/") == "/v2":
            return reply(handler, b"{}", "application/json")
        body, kind = self.content.get(handler.path, (None, None))
        for pattern, fault in self.faults.items():
            if re.search(pattern, handler.path):
                return fault(handler, body, kind)
        if body is None:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            return reply(handler, json.dumps(error).encode(), "application/json", status=404)
        part(handler, body, kind) if "/blobs/" in handler.path else reply(handler, body, kind)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


TRULY = "answer truly"


class StrictRegistry(FaultyRegistry):
    """Takes pushes too, to the letter of the distribution specification: an upload goes on at the latest Location only, and a
    manifest needs all that it names. `faults` are matched against "METHOD path" as well, and may return TRULY instead of
    replying; `uploads` holds what was begun."""

    def __init__(self, mounts=True, referrers=True):
        """`mounts`: blobs of its other repositories can be mounted. `referrers`: it keeps the lists of what refers to a manifest."""
        self.uploads, self.mounts, self.referrers, self.begun = {}, mounts, referrers, 0
        super().__init__()

    def answer(self, handler):
        if handler.command in ("GET", "HEAD"):
            return super().answer(handler)
        if not self.admits(handler):
            return None
        sent = read_body(handler)
        for pattern, fault in self.faults.items():
            if re.search(pattern, f"{handler.command} {handler.path}") and fault(handler, None, "application/json") != TRULY:
                return None
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        upload = re.fullmatch(r"/v2/(.+)/blobs/uploads/([^/]*)", url.path)
        if upload:
            return getattr(self, handler.command.lower() + "_upload")(handler, *upload.groups(), query, sent)
        self.put_manifest(handler, *re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", url.path).groups(), sent)

    def refuse(self, handler, status, code):
        error = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
        reply(handler, json.dumps(error).encode(), "application/json", status=status)

    def accept(self, handler, repo, session, status=202, **headers):
        size = len(self.uploads[session])
        where = f"/v2/{repo}/blobs/uploads/{session}?at={size}"
        reply(handler, b"", "text/plain", status=status, headers={"Location": where, "Range": f"0-{max(size - 1, 0)}", **headers})

    def post_upload(self, handler, repo, _session, query, _sent):
        source = self.content.get(f"/v2/{query.get('from')}/blobs/{query.get('mount')}")
        if "mount" in query and self.mounts and source:
            self.content[f"/v2/{repo}/blobs/{query['mount']}"] = source
            return reply(handler, b"", "text/plain", status=201, headers={"Location": f"/v2/{repo}/blobs/{query['mount']}"})
        self.begun += 1
        self.uploads[f"u{self.begun}"] = b""
        self.accept(handler, repo, f"u{self.begun}", **{"OCI-Chunk-Min-Length": "1000000"})

    def known(self, handler, session, query):
        """Whether the upload is known and was asked for where it last was said to go on; refuses it otherwise."""
        if session not in self.uploads:
            self.refuse(handler, 404, "BLOB_UPLOAD_UNKNOWN")
        elif query.get("at") != str(len(self.uploads[session])):
            self.refuse(handler, 416, "RANGE_INVALID")
        else:
            return True

    def patch_upload(self, handler, repo, session, query, sent):
        if self.known(handler, session, query):
            self.uploads[session] += sent
            self.accept(handler, repo, session)

    def put_upload(self, handler, repo, session, query, sent):
        if not self.known(handler, session, query):
            return
        blob = self.uploads.pop(session) + sent
        if digest_of(blob) != query.get("digest"):
            return self.refuse(handler, 400, "DIGEST_INVALID")
        self.content[f"/v2/{repo}/blobs/{query['digest']}"] = (blob, "application/octet-stream")
        reply(handler, b"", "text/plain", status=201, headers={"Location": f"/v2/{repo}/blobs/{query['digest']}"})

    def delete_upload(self, handler, _repo, session, _query, _sent):
        self.uploads.pop(session, None)
        reply(handler, b"", "text/plain", status=204)

    def put_manifest(self, handler, repo, name, sent):
        body = json.loads(sent)
        blobs = [body["config"], *body["layers"]] if "config" in body else []
        missing = [b for b in blobs if f"/v2/{repo}/blobs/{b['digest']}" not in self.content]
        missing += [m for m in body.get("manifests", []) if f"/v2/{repo}/manifests/{m['digest']}" not in self.content]
        if missing:
            return self.refuse(handler, 404, "MANIFEST_BLOB_UNKNOWN")
        for each in (name, digest_of(sent)):
            self.content[f"/v2/{repo}/manifests/{each}"] = (sent, handler.headers["Content-Type"])
        noted = {"OCI-Subject": body["subject"]["digest"]} if self.referrers and "subject" in body else {}
        reply(handler, b"", "text/plain", status=201, headers={"Location": handler.path, "Docker-Content-Digest": digest_of(sent), **noted})


class TokenServer:
    """Gives out bearer tokens as registries' token servers do (distribution spec, "Token authentication").

    `users` maps names to passwords, `identities` names to the tokens that stand for them. A token is good for `uses` requests
    or for ever. `faults` are as a registry's; `requests` has (method, query) of each request, with a list for each name.
    """

    def __init__(self, users=None, identities=None, uses=None):
        self.users, self.identities, self.uses = users or {}, identities or {}, uses
        self.faults, self.requests, self.given, self.lock = {}, [], {}, threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.answer(self)

            do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, handler):
        asked = urllib.parse.urlsplit(handler.path).query
        query = urllib.parse.parse_qs(read_body(handler).decode() if handler.command == "POST" else asked)
        self.requests.append((handler.command, query))
        for pattern, fault in self.faults.items():
            if re.search(pattern, handler.path) and fault(handler, b"{}", "application/json") != TRULY:
                return
        user = self.user_of(handler, query)
        if user is None:
            return reply(handler, b'{"details":"incorrect username or password"}', "application/json", status=401)
        with self.lock:
            token = f"token-{len(self.given)}"
            self.given[token] = [set(" ".join(query.get("scope", [])).split()), self.uses]
        body = {"token": token, "expires_in": 300}
        if "offline_token" in query:
            body["refresh_token"] = self.identities.get(user, "")
        reply(handler, json.dumps(body).encode(), "application/json")

    def user_of(self, handler, query):
        """A name, "" for nobody, or None for somebody who is not who they say."""
        if query.get("grant_type") == ["refresh_token"]:
            return next((name for name, token in self.identities.items() if [token] == query.get("refresh_token")), None)
        if "Authorization" not in handler.headers:
            return None if self.users else ""
        name, _, password = base64.b64decode(handler.headers["Authorization"].split()[1]).decode().partition(":")
        return name if self.users.get(name) == password else None

    @staticmethod
    def scopes_for(method, path) -> set:
        url = urllib.parse.urlsplit(path)
        repo = re.match(r"/v2/(.+?)/(?:manifests|blobs|tags)/", url.path)
        if not repo:
            return set()
        wanted = {f"repository:{repo[1]}:pull" if method in ("GET", "HEAD") else f"repository:{repo[1]}:pull,push"}
        mounted = urllib.parse.parse_qs(url.query).get("from")
        return wanted | {f"repository:{mounted[0]}:pull"} if mounted else wanted

    def allows(self, authorization, wanted) -> bool:
        with self.lock:
            kept = self.given.get(authorization.removeprefix("Bearer "))
            if not kept or kept[1] == 0:
                return False
            # Who may push may pull.
            missing = {w for w in wanted if w not in kept[0] and f"{w},push" not in kept[0]}
            if not missing and kept[1] is not None:
                kept[1] -= 1
            return not missing

    def challenge(self, wanted) -> str:
        return f'Bearer realm="{self.realm}",service="tests"' + (f',scope="{" ".join(sorted(wanted))}"' if wanted else "")

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def part(handler, body, kind):
    """The bytes of a Range (RFC 9110, 14.2) that names one range, else all of them."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    if not asked:
        return reply(handler, body, kind)
    first, last = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
    if first > last:
        return reply(handler, b"", kind, status=416)
    reply(handler, body[first:last + 1], kind, status=206, headers={"Content-Range": f"bytes {first}-{last}/{len(body)}"})


def read_body(handler) -> bytes:
    """Of a request, also one whose length was not known when it began."""
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    parts = []
    while size := int(handler.rfile.readline(), 16):
        parts.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(parts)


def reply(handler, body, kind, status=200, length=None, headers=None):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


# --- faults --------------------------------------------------------------------------------------

def hang_up(handler, *, reset=False):
    if reset:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.wfile.flush()
    if not reset:
        handler.connection.shutdown(socket.SHUT_RDWR)
    handler.connection.close()


def resets(handler, body, kind):
    """Half of the body, then a TCP reset."""
    reply(handler, (body or b"")[:len(body or b"") // 2], kind, length=len(body or b""))
    hang_up(handler, reset=True)


def ends_early(handler, body, kind):
    """Says the true length, sends half, closes."""
    reply(handler, body[:len(body) // 2], kind, length=len(body))
    hang_up(handler)


def sends_too_much(handler, body, kind):
    """More bytes than the manifest's size."""
    reply(handler, body + b"x" * 100000, kind)


def flips_a_byte(handler, body, kind):
    """The right length, another content."""
    broken = bytearray(body)
    broken[len(broken) // 2] ^= 0xFF
    reply(handler, bytes(broken), kind)


def endless(handler, body, kind):
    """Never stops sending."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b"\0" * 65536)
    except OSError:
        pass


def status(code, body=b'{"errors":[{"code":"UNKNOWN","message":"the registry is not well"}]}'):
    return lambda handler, _body, _kind: reply(handler, body, "application/json", status=code)


def stalls(gate: threading.Event):
    """Sends a little and then nothing until `gate` is set or a minute is over."""
    def fault(handler, body, kind):
        reply(handler, body[:100], kind, length=len(body))
        handler.wfile.flush()
        gate.wait(60)
        handler.close_connection = True
    return fault


def first(times, fault):
    """The fault for the first requests, then the truth: what a retry should survive."""
    left, lock = [times], threading.Lock()

    def either(handler, body, kind):
        with lock:
            left[0] -= 1
            broken = left[0] >= 0
        return fault(handler, body, kind) if broken else part(handler, body, kind)
    return either


def says(body, kind="application/json", code=200):
    return lambda handler, _body, _kind: reply(handler, body, kind, status=code)


class Limited:
    """A blob at so many bytes a second, for each connection or, with `together`, for all; knows ranges.

    `answers` has a dictionary for each answer: `first` and `end` (behind the last) of the bytes asked for, `part` whether the
    request named an end, `begun` and `ended` by the clock. `fault`, a function(handler, answer, send), may write the answer
    to such a request itself; `send` is what would have been done.
    """

    def __init__(self, rate, together=False, fault=None):
        self.rate, self.together, self.fault = rate, together, fault
        self.answers, self.lock, self.next_turn = [], threading.Lock(), 0.0

    def __call__(self, handler, body, kind):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", "bytes=0-"))
        first, last = int(asked[1]), int(asked[2] or len(body) - 1)
        answer = {"first": first, "end": last + 1, "part": bool(asked[2]), "begun": time.monotonic(), "ended": None}
        with self.lock:
            answer["number"] = sum(a["part"] for a in self.answers)
            self.answers.append(answer)

        def send(most=None):
            whole = "Range" not in handler.headers
            headers = {} if whole else {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
            head_only(handler, kind, last + 1 - first, 200 if whole else 206, headers)
            self.pour(handler, memoryview(body)[first:last + 1][:most])
        try:
            self.fault(handler, answer, send) if self.fault and answer["part"] else send()
        finally:
            answer["ended"] = time.monotonic()

    def pour(self, handler, data, step=64 << 10):
        turn = time.monotonic()
        for at in range(0, len(data), step):
            piece = data[at:at + step]
            with self.lock:
                if self.together:
                    turn = self.next_turn = max(self.next_turn, time.monotonic() - 0.1)
                    self.next_turn += len(piece) / self.rate
            time.sleep(max(0, turn - time.monotonic()))
            turn += len(piece) / self.rate
            handler.wfile.write(piece)

    def parts(self) -> list:
        """Those that named an end, by their place in the blob."""
        return sorted((a for a in self.answers if a["part"]), key=lambda a: a["first"])


def head_only(handler, kind, length, status, headers):
    handler.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(length), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
