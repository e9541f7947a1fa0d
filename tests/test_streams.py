"""Standard streams: attached, detached, in a terminal, half closed, large."""
import hashlib
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import http
from support.engines import BOX
from support.terminal import Terminal
from support.wait import eventually
from support.websocket import WebSocket

MIB = 1 << 20


# --- pipes ---------------------------------------------------------------------------------------

def test_stdin_is_half_closed(cli):
    done = cli.run("run", "-i", "--rm", BOX, "cat", input="hi\n")
    assert (done.code, done.out) == (0, "hi\n")


def test_output_after_the_end_of_stdin(cli):
    done = cli.run("run", "-i", "--rm", BOX, "sh", "-c", "cat; sleep 0.3; echo later", input="first\n")
    assert done.out == "first\nlater\n"


def test_stdin_without_i_is_empty(cli):
    assert cli.run("run", "--rm", BOX, "cat", input="ignored").out == ""


def test_binary_data_through_stdin_and_back(cli):
    data = os.urandom(3 * MIB)
    assert cli.run("run", "-i", "--rm", BOX, "cat", input=data).raw == data


def test_large_output_is_whole(cli):
    """100 MB from one writer, counted and hashed on the way: nothing lost, nothing doubled, in order."""
    command = "seq 1 13000000 | head -c 100000000"
    expected = hashlib.sha256(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE).stdout).hexdigest()
    process = cli.popen("run", "--rm", BOX, "sh", "-c", command, stdin=subprocess.DEVNULL)
    found, size = hashlib.sha256(), 0
    while part := process.stdout.read(MIB):
        found.update(part)
        size += len(part)
    assert process.wait(120) == 0 and size == 100000000 and found.hexdigest() == expected


def test_both_streams_interleaved(cli):
    done = cli.run("run", "--rm", BOX, "sh", "-c", "for i in $(seq 2000); do echo o$i; echo e$i >&2; done")
    assert done.out.split() == [f"o{i}" for i in range(1, 2001)] and done.err.split() == [f"e{i}" for i in range(1, 2001)]


# Whoever reads a tick is attached.
TICKS = "while [ ! -e /go ]; do echo tick; sleep 0.05; done"


def without_ticks(out: bytes) -> bytes:
    while out.startswith(b"tick\n"):
        out = out.removeprefix(b"tick\n")
    return out


def test_attach_shows_output_from_now_on(cli):
    cli.ok("run", "-d", "--name", "ticker", BOX, "sh", "-c", f"echo before; {TICKS}; echo live; exit 9")
    eventually(lambda: cli.ok("logs", "ticker").startswith("before\ntick"), "the first line, which nobody sees")
    process = cli.popen("attach", "--no-stdin", "ticker")
    assert process.stdout.readline() == b"tick\n"
    cli.ok("exec", "ticker", "touch", "/go")
    out, _ = process.communicate(timeout=20)
    assert without_ticks(out) == b"live\n" and process.returncode == 9


def test_two_attached_clients_see_the_same(cli):
    cli.ok("run", "-d", "--name", "both", BOX, "sh", "-c", f"{TICKS}; seq 1 5000")
    processes = [cli.popen("attach", "--no-stdin", "both") for _ in range(2)]
    assert [p.stdout.readline() for p in processes] == [b"tick\n", b"tick\n"]
    cli.ok("exec", "both", "touch", "/go")
    expected = "".join(f"{i}\n" for i in range(1, 5001)).encode()
    assert [without_ticks(p.communicate(timeout=20)[0]) for p in processes] == [expected, expected]


def test_start_attached(cli):
    cli.ok("create", "--name", "later", "-i", BOX, "sh", "-c", "read x; echo got $x; exit 6")
    done = cli.run("start", "-a", "-i", "later", input="this\n")
    assert (done.code, done.out) == (6, "got this\n")


def test_signals_pass_through(cli):
    process = cli.popen("run", "--rm", "--name", "signalled", BOX, "sh", "-c",
                        "trap 'echo term; exit 21' TERM; echo ready; while :; do sleep 0.1; done")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"term\n" and process.wait(20) == 21


def is_pending(pid, number) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(mask, 16) >> (number - 1) & 1 for mask in re.findall(r"(?m)^(?:Sig|Shd)Pnd:\s*(\w+)", status))


def test_signals_do_not_pass_with_sig_proxy_off(cli):
    process = cli.popen("run", "--rm", "--sig-proxy=false", "--name", "alone", BOX, "sh", "-c",
                        "trap 'exit 1' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    eventually(lambda: process.poll() is not None or not is_pending(process.pid, signal.SIGTERM), "the signal's arrival")
    process.kill()
    process.wait(20)
    assert cli.inspect("alone", "State.Running") is True


def test_a_client_that_vanishes_leaves_the_container_alone(cli):
    process = cli.popen("run", "-i", "--name", "survivor", BOX, "sh", "-c", "echo ready; sleep 600")
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait(10)
    assert cli.inspect("survivor", "State.Running") is True
    assert cli.ok("exec", "survivor", "echo", "alive") == "alive"


def test_a_reader_that_never_reads_blocks_nobody_else(cli, engine):
    """An attached client that reads nothing must not stop the daemon, other clients or, in the end, the memory."""
    cli.ok("run", "-d", "--name", "loud", BOX, "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; yes $(seq 1 200) | head -c 5000000; touch /done; sleep 600")
    number = cli.inspect("loud", "Id")
    with engine.api.socket() as deaf:
        deaf.sendall(f"POST /containers/{number}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        http.read_until(deaf, b"\r\n\r\n")
        cli.ok("exec", "loud", "touch", "/go")
        eventually(lambda: "yes" in cli.ok("top", "loud"), "the flood")
        assert engine.api.alive() and "loud" in cli.ok("ps", "--format", "{{.Names}}")
        assert cli.ok("exec", "loud", "echo", "responsive") == "responsive"
    eventually(lambda: cli.run("exec", "loud", "test", "-e", "/done").code == 0, "the writer, once the deaf client is gone", 60)


# --- terminals -----------------------------------------------------------------------------------

def test_terminal(cli):
    with Terminal(cli, "run", "-it", "--rm", BOX, "sh", rows=33, columns=99) as term:
        assert term.shell("tty") == "/dev/pts/0"
        assert term.shell("echo $TERM") == "xterm"
        eventually(lambda: term.shell("stty size") == "33 99", "the window's size")
        term.line("exit 17")
        assert term.ends() == 17


def test_terminal_resize(cli):
    with Terminal(cli, "run", "-it", "--rm", BOX, "sh", rows=24, columns=80) as term:
        eventually(lambda: term.shell("stty size") == "24 80", "the first size")
        term.resize(50, 132)
        eventually(lambda: term.shell("stty size") == "50 132", "the new size")
        term.line("exit")
        term.ends()


def test_terminal_control_characters(cli):
    with Terminal(cli, "run", "-it", "--rm", "--name", "typed", BOX, "sh") as term:
        term.shell("true")
        term.line("sleep 600; echo sle''pt")
        eventually(lambda: "sleep 600" in cli.ok("top", "typed"), "the program in front")
        term.send("\x03")
        assert term.shell("echo back") == "back"
        term.send("\x04")
        term.ends()


def test_detach_and_attach_again(cli):
    with Terminal(cli, "run", "-it", "--name", "sticky", BOX, "sh") as term:
        assert term.shell("marker=42; echo set") == "set"
        term.detach()
    assert cli.inspect("sticky", "State.Running") is True
    with Terminal(cli, "attach", "sticky") as term:
        assert term.shell("echo $marker") == "42"
        term.detach()
    with Terminal(cli, "attach", "sticky") as term:
        assert term.shell("echo still $marker") == "still 42"
        term.line("exit 4")
        assert term.ends() == 4
    assert cli.inspect("sticky", "State.ExitCode") == 4


def test_detach_keys_of_ones_own(cli):
    with Terminal(cli, "run", "-it", "--name", "keys", "--detach-keys", "ctrl-x,x", BOX, "sh") as term:
        assert term.shell("echo here") == "here"
        term.send("\x18x")
        term.ends()
    assert cli.inspect("keys", "State.Running") is True


def test_terminal_output_has_carriage_returns(engine, docker):
    docker.ok("run", "-d", "-t", "--name", "tty", BOX, "sh", "-c", "echo line; ls /nosuch")
    docker.ok("wait", "tty")
    assert docker.run("logs", "tty").raw == b"line\r\nls: /nosuch: No such file or directory\r\n"


def test_terminal_needs_a_terminal(cli):
    done = cli.run("run", "-it", "--rm", BOX, "true", input="x")
    assert done.code != 0 and re.search("(?i)not a (tty|terminal)", done.err), done


# --- exec ----------------------------------------------------------------------------------------

@pytest.fixture
def target(cli):
    cli.ok("run", "-d", "--name", "target", "-e", "OUTER=1", "-w", "/tmp", BOX, "sleep", "600")
    return "target"


def test_exec(cli, target):
    done = cli.run("exec", target, "sh", "-c", "echo out; echo err >&2; exit 8")
    assert (done.code, done.out, done.err) == (8, "out\n", "err\n")


def test_exec_settings(cli, target):
    assert cli.ok("exec", target, "sh", "-c", "echo $OUTER; pwd") == "1\n/tmp"
    out = cli.ok("exec", "-e", "INNER=2", "-w", "/etc", "-u", "alice", target, "sh", "-c", "echo $OUTER$INNER; pwd; id -u; id -G").splitlines()
    assert out[:3] == ["12", "/etc", "1000"] and {"44", "50"} <= set(out[3].split())


def test_exec_is_confined_like_the_container(cli, target):
    status = cli.ok("exec", target, "cat", "/proc/self/status")
    assert "CapEff:\t00000000a80425fb" in status and "Seccomp:\t2" in status and "CapInh:\t0000000000000000" in status
    assert re.search(r"CapEff:\t[0-9a-f]{16}", cli.ok("exec", "--privileged", target, "cat", "/proc/self/status"))[0] != "CapEff:\t00000000a80425fb"


def test_exec_stdin(cli, target):
    assert cli.ok("exec", "-i", target, "wc", "-c", input="x" * 100000) == "100000"


def test_exec_detached(cli, target):
    assert cli.ok("exec", "-d", target, "sh", "-c", "echo done > /tmp/flag") == ""
    eventually(lambda: cli.run("exec", target, "cat", "/tmp/flag").out == "done\n", "the detached exec")


def test_exec_terminal(cli, target):
    with Terminal(cli, "exec", "-it", target, "sh", rows=21, columns=77) as term:
        eventually(lambda: term.shell("stty size") == "21 77", "the window's size")

        def resized():
            # The docker command may not listen for the signal yet when the shell already answers.
            term.resize(41, 100)
            term.resize(40, 100)
            return term.shell("stty size") == "40 100"
        eventually(resized, "the new size")
        term.line("exit 12")
        assert term.ends() == 12


@pytest.mark.parametrize("command, code, says", [
    ("nosuch", 127, "executable file not found"), ("/etc/passwd", 126, "permission denied")])
def test_exec_of_what_cannot_run(cli, target, command, code, says):
    done = cli.run("exec", target, command)
    assert done.code == code and re.search(says, done.out + done.err), done


def test_exec_in_a_stopped_container(cli):
    cli.ok("create", "--name", "idle", BOX)
    cli.fails("exec", "idle", "true", code=1, says="is not running")


@pytest.mark.corten_only
@pytest.mark.parametrize("replace", ["mkfifo", "ln -s /dev/zero", "mv /dev/zero", "touch", "true"])
def test_an_empty_stream_is_the_null_device_or_an_ended_pipe(cli, target, replace):
    """What the container has put in its place is read by nobody who still has all capabilities."""
    cli.ok("exec", target, "sh", "-c", f"rm /dev/null; {replace} /dev/null")
    assert cli.ok("exec", target, "sh", "-c", "head -c 1; readlink /proc/self/fd/0").startswith("pipe:[")


@pytest.mark.corten_only
def test_an_empty_stream_is_not_the_hosts_device(cli, target):
    """Whose mode the root of a container could change through the descriptor."""
    mode = os.stat("/dev/null").st_mode
    cli.ok("exec", target, "chmod", "0", "/proc/self/fd/0")
    assert os.stat("/dev/null").st_mode == mode
    assert cli.ok("exec", target, "stat", "-c", "%a", "/dev/null") == "0"


def test_exec_survives_the_end_of_its_client(cli, target):
    process = cli.popen("exec", target, "sh", "-c", "echo ready; sleep 0.5; touch /tmp/after; sleep 600")
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait(10)
    eventually(lambda: cli.run("exec", target, "test", "-e", "/tmp/after").code == 0, "the exec's file")


def test_exec_ends_with_the_container(cli, target):
    process = cli.popen("exec", target, "sleep", "600")
    eventually(lambda: "sleep 600" in cli.ok("top", target) and cli.ok("top", target).count("sleep") == 2, "the exec")
    cli.ok("rm", "-f", target)
    assert process.wait(20) != 0


def test_how_an_exec_ended_is_known_after_its_container(cli, engine):
    """The container ends in the moment that the exec has been reaped."""
    waits = "until [ -e /go ]; do :; done; while kill -0 $(cat /go) 2>/dev/null; do :; done"
    for n in range(5):
        name = cli.ok("run", "-d", "--name", f"quick{n}", BOX, "sh", "-c", waits)
        assert cli.run("exec", name, "sh", "-c", "echo $$ > /made; mv /made /go; exit 7").code == 7


def test_an_exec_that_is_killed_with_its_container(cli, engine):
    name = cli.ok("run", "-d", BOX, "sh", "-c", "trap 'exit 3' TERM; touch /ready; while :; do sleep 0.1; done")
    eventually(lambda: cli.run("exec", name, "test", "-e", "/ready").code == 0, "the trap")
    made = engine.api.post(f"/containers/{name}/exec", {"Cmd": ["sh", "-c", "kill -TERM 1; sleep 600"], "AttachStdout": True}).json()["Id"]
    assert engine.api.post(f"/exec/{made}/start", {"Detach": False}).status == 200
    assert cli.ok("wait", name) == "3"
    found = engine.api.get(f"/exec/{made}/json").json()
    assert (found["Running"], found["ExitCode"]) == (False, 137)
    assert not engine.api.get(f"/containers/{name}/json").json()["ExecIDs"]
    cli.ok("rm", name)
    assert engine.api.get(f"/exec/{made}/json").status == 404


# --- the wire ------------------------------------------------------------------------------------

def hijack(engine, path, body=b"", version="v1.43"):
    s = engine.api.socket()
    s.sendall(f"POST /{version}{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
              f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    head = http.read_until(s, b"\r\n\r\n")
    head, _, rest = head.partition(b"\r\n\r\n")
    return s, head.decode(), rest


def test_attach_before_start_keeps_early_input(engine, docker):
    number = docker.ok("create", "-i", BOX, "cat")
    s, head, rest = hijack(engine, f"/containers/{number}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    assert head.startswith("HTTP/1.1 101 UPGRADED") and "application/vnd.docker.multiplexed-stream" in head
    s.sendall(b"early\n")
    s.shutdown(1)
    docker.ok("start", number)
    assert list(http.frames(rest + http.read_all(s))) == [(1, b"early\n")]


@pytest.mark.corten_only
@pytest.mark.parametrize("upgrade", ["Connection: Upgrade\r\nUpgrade: tcp\r\n", ""])
def test_output_comes_after_the_head_was_read(engine, docker, upgrade):
    """What comes in one read with it is lost to clients that go on with the bare socket."""
    docker.ok("run", "-d", "--name", "eager", BOX, "sh", "-c", "while :; do echo x; done")
    made = engine.api.post("/containers/eager/exec", {"Cmd": ["echo", "x"], "AttachStdout": True}).json()["Id"]
    for path in ("/containers/eager/attach?stream=1&stdout=1", "/containers/eager/attach?stream=1&logs=1&stdout=1", f"/exec/{made}/start"):
        with engine.api.socket() as s:
            s.sendall(f"POST {path} HTTP/1.1\r\nHost: d\r\n{upgrade}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            select.select([s], [], [], 30)
            time.sleep(0.005)
            assert s.recv(1 << 16).endswith(b"\r\n\r\n"), path
            assert s.recv(1 << 16)


def test_attach_by_websocket(engine, docker):
    docker.ok("run", "-di", "--name", "web", BOX, "sh", "-c", "echo before; cat; echo err >&2; exit 3")
    eventually(lambda: "before" in docker.ok("logs", "web"), "the first output")
    with WebSocket(engine.api, "/v1.43/containers/web/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1") as web:
        assert web.read(7) == b"before\n"
        for size in (1, 125, 126, 65535, 65536, 300_000):
            web.send(b"x" * size)
            assert web.read(size) == b"x" * size
        web.send(b"last\n", parts=3)
        assert web.read(5) == b"last\n" and web.kinds == {2}
        web.ping(b"there?")
        assert web.pong() == b"there?"
    docker.ok("rm", "-f", "web")


def test_the_end_of_a_container_ends_its_websockets(engine, docker):
    docker.ok("create", "-t", "--name", "web", BOX, "sh", "-c", "echo out; echo err >&2")
    with WebSocket(engine.api, "/v1.43/containers/web/attach/ws?stream=1&stdout=1&stderr=1") as web:
        docker.ok("start", "web")
        assert web.read_all() == b"out\r\nerr\r\n" and web.closed_with == 1000


@pytest.mark.corten_only
@pytest.mark.parametrize("polite", [True, False])
def test_a_websocket_that_its_client_closes(engine, docker, polite):
    """Nothing of it is left, although the container says nothing that could fail to be sent."""
    docker.ok("run", "-di", "--name", "web", BOX, "sleep", "600")

    def pumps():
        return subprocess.run(["ps", "-L", "-o", "comm=", "-p", str(engine.process.pid)], stdout=subprocess.PIPE, text=True).stdout.count("http-pump")
    with WebSocket(engine.api, "/containers/web/attach/ws?stream=1&stdin=1&stdout=1") as web:
        eventually(pumps, "the thread")
        if polite:
            web.close()
            assert web.read_all() == b"" and web.closed_with == 1000
    eventually(lambda: not pumps(), "the end of the thread")
    assert docker.inspect("web", "State.Running")


def test_what_is_no_websocket(engine, docker):
    docker.ok("create", "--name", "web", BOX)
    assert engine.api.get("/containers/nosuch/attach/ws?stream=1").status == 404
    assert engine.api.get("/containers/web/attach/ws?stream=1").status == 400
    with WebSocket(engine.api, "/containers/web/attach/ws?stream=1&stdin=1") as web:
        web.socket.sendall(b"\x82\x01x")  # without a mask
        assert web.read_all() == b""


def test_attach_without_upgrade(engine, docker):
    docker.ok("run", "-d", "--name", "plain", BOX, "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; echo out; echo err >&2")
    with engine.api.socket() as s:
        s.sendall(b"POST /v1.41/containers/plain/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        head = http.read_until(s, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK") and b"application/vnd.docker.raw-stream" in head
        docker.ok("exec", "plain", "touch", "/go")
        assert sorted(http.frames(head.partition(b"\r\n\r\n")[2] + http.read_all(s))) == [(1, b"out\n"), (2, b"err\n")]


def test_attach_to_a_missing_container_is_plain_text(engine):
    answer = engine.api.raw(b"POST /containers/nosuch/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 Not Found") and b"raw-stream" in answer and b"No such container: nosuch" in answer


def test_wait_answers_with_headers_at_once(engine, docker):
    number = docker.ok("create", BOX, "sh", "-c", "exit 5")
    with engine.api.socket() as s:
        s.sendall(f"POST /containers/{number}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
        head = http.read_until(s, b"\r\n\r\n")
        assert b"200 OK" in head and b"application/json" in head
        docker.ok("start", number)
        rest = head.partition(b"\r\n\r\n")[2]
        while b"}" not in rest:
            rest += s.recv(4096)
        assert b'"StatusCode":5' in rest


def test_resize_wants_both_numbers(engine, docker):
    docker.ok("run", "-dt", "--name", "size", BOX, "sleep", "600")
    assert engine.api.post("/containers/size/resize?h=10&w=20").status == 200
    assert engine.api.post("/containers/size/resize?h=x&w=20").status == 400
    assert engine.api.post("/containers/size/resize?h=10").status == 400
    assert docker.ok("exec", "size", "stty", "-F", "/dev/pts/0", "size") == "10 20"
