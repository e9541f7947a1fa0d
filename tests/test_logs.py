"""Logs: what was written, when, and no more of it than asked for."""
import json
import re
import time

import pytest
from support.engines import BOX
from support.wait import eventually


@pytest.fixture
def talker(cli):
    cli.ok("run", "-d", "--name", "talker", BOX, "sh", "-c", "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done")
    cli.ok("wait", "talker")
    return "talker"


def test_logs_keep_streams_apart(cli, talker):
    done = cli.run("logs", talker)
    assert done.out.split() == [f"out{i}" for i in range(1, 6)] and done.err.split() == [f"err{i}" for i in range(1, 6)]


@pytest.mark.parametrize("count, expected", [("0", 0), ("3", 3), ("100", 10), ("all", 10)])
def test_tail(cli, talker, count, expected):
    done = cli.run("logs", "--tail", count, talker)
    assert len((done.out + done.err).split()) == expected
    if expected == 3:  # the last three, whichever stream the engine read last
        assert {"out5", "err5"} & set((done.out + done.err).split())


def test_timestamps(cli, talker):
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert all(re.match(stamp + r" out\d$", line) for line in cli.ok("logs", "-t", talker).splitlines())


def test_since_and_until(cli):
    cli.ok("run", "-d", "--name", "timed", BOX, "sh", "-c", "echo early; sleep 2.2; echo late")
    cli.ok("wait", "timed")
    stamps = [line.split()[0] for line in cli.ok("logs", "-t", "timed").splitlines()]
    assert cli.ok("logs", "--since", stamps[1], "timed") == "late"
    assert cli.ok("logs", "--until", stamps[0], "timed") == "early"
    assert cli.ok("logs", "--since", "1h", "timed").split() == ["early", "late"]


def test_follow_until_the_end(cli):
    cli.ok("run", "-d", "--name", "followed", BOX, "sh", "-c", "echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two")
    process = cli.popen("logs", "-f", "followed")
    assert process.stdout.readline() == b"one\n"
    cli.ok("exec", "followed", "touch", "/go")
    assert process.stdout.read() == b"two\n" and process.wait(20) == 0


def test_follow_with_tail(cli):
    cli.ok("run", "-d", "--name", "ft", BOX, "sh", "-c", "seq 1 100; while [ ! -e /go ]; do sleep 0.05; done; echo end")
    eventually(lambda: cli.ok("logs", "--tail", "1", "ft") == "100", "the numbers")
    process = cli.popen("logs", "-f", "--tail", "2", "ft")
    assert [process.stdout.readline() for _ in range(2)] == [b"99\n", b"100\n"]
    cli.ok("exec", "ft", "touch", "/go")
    assert process.stdout.read() == b"end\n"


def test_line_without_an_end_and_very_long_lines(cli):
    cli.ok("run", "-d", "--name", "odd", BOX, "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; printf tail")
    cli.ok("wait", "odd")
    assert cli.run("logs", "odd").raw == b"x" * 100000 + b"\ntail"


def test_logs_are_not_text_only(cli):
    cli.ok("run", "-d", "--name", "bytes", BOX, "printf", r'a\tb\001\342\202\254"\\<>&\n')
    cli.ok("wait", "bytes")
    assert cli.run("logs", "bytes").raw == b'a\tb\x01\xe2\x82\xac"\\<>&\n'


def test_logs_span_restarts(cli):
    cli.ok("run", "-d", "--name", "twice", BOX, "echo", "run")
    cli.ok("wait", "twice")
    cli.ok("start", "twice")
    cli.ok("wait", "twice")
    eventually(lambda: cli.ok("logs", "twice") == "run\nrun", "both runs' output")


def log_file(engine, cli, name):
    path = cli.inspect(name, "LogPath")
    if not engine.is_corten:
        pytest.skip("the peer's files are its own")
    return path


def test_file_format(cli, engine, talker):
    with open(log_file(engine, cli, talker)) as lines:
        entries = [json.loads(line) for line in lines]
    assert len(entries) == 10 and {e["stream"] for e in entries} == {"stdout", "stderr"}
    assert entries[0]["log"] in ("out1\n", "err1\n") and re.match(r"\d{4}-\d\d-\d\dT.*Z$", entries[0]["time"])


def test_rotation(cli, engine):
    cli.ok("run", "-d", "--name", "rotated", "--log-opt", "max-size=20k", "--log-opt", "max-file=3", BOX, "seq", "1", "5000")
    cli.ok("wait", "rotated")
    got = [int(n) for n in cli.ok("logs", "rotated").split()]
    assert got[-1] == 5000 and got == list(range(got[0], 5001)) and 100 < len(got) < 3000
    from pathlib import Path
    path = Path(log_file(engine, cli, "rotated"))
    files = sorted(p.name for p in path.parent.glob(path.name + "*"))
    assert files == [path.name, path.name + ".1", path.name + ".2"]
    assert all(p.stat().st_size < 30000 for p in path.parent.glob(path.name + "*"))


def test_follow_across_rotation(cli):
    cli.ok("create", "--name", "turning", "--log-opt", "max-size=10k", "--log-opt", "max-file=2", BOX, "sh", "-c",
           "for i in $(seq 1 20); do seq $((i*100-99)) $((i*100)); sleep 0.1; done")
    cli.ok("start", "turning")
    process = cli.popen("logs", "-f", "turning")
    out, _ = process.communicate(timeout=40)
    assert [int(n) for n in out.split()][-1] == 2000
    numbers = [int(n) for n in out.split()]
    assert numbers == sorted(set(numbers)), "lines doubled or out of order"


def test_bad_log_options(cli):
    cli.fails("run", "--rm", "--log-opt", "max-size=huge", BOX, "true", says="(?i)max-size|invalid|size")
    cli.fails("run", "--rm", "--log-opt", "nosuch=1", BOX, "true", says="(?i)nosuch|unknown log opt")
    cli.fails("run", "--rm", "--log-driver", "nosuch", BOX, "true", says="(?i)nosuch|logger|log driver")


def test_logs_want_a_stream(engine, cli, talker):
    assert "at least one stream" in engine.api.get(f"/containers/{talker}/logs").message


def test_logs_headers_come_at_once(engine, cli):
    from support import http
    cli.ok("run", "-d", "--name", "silent", BOX, "sleep", "600")
    with engine.api.socket(timeout=10) as s:
        begun = time.monotonic()
        s.sendall(b"GET /v1.43/containers/silent/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        head = http.read_until(s, b"\r\n\r\n")
        assert time.monotonic() - begun < 5 and b"200 OK" in head and b"multiplexed-stream" in head
