"""kill -9 of the daemon, at chosen moments and at random ones: nothing is lost, nothing is left over."""
import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest
from support import cgroups, host, images, names
from support import registry as registries
from support.engines import BOX
from support.terminal import Terminal
from support.wait import eventually

pytestmark = pytest.mark.corten_only


@pytest.fixture
def docker(daemon):
    with daemon.kept_alive() as client:
        yield client


def run(docker, name, script, *flags):
    return docker.ok("run", "-d", "--name", name, *flags, BOX, "sh", "-c", script)


def test_names_of_a_network_are_known_again(daemon, docker):
    docker.ok("network", "create", "net")
    run(docker, "one", "sleep 600", "--network", "net", "--network-alias", "first")
    run(docker, "two", "sleep 600", "--network", "net")
    here = docker.inspect("one", "NetworkSettings.Networks.net.IPAddress")
    daemon.kill()
    daemon.start()
    for name in ("one", "first"):
        assert names.ask_in(daemon.host_pid("two"), name=name)["answers"] == [here]
    docker.ok("network", "disconnect", "net", "one")
    docker.ok("network", "connect", "--alias", "last", "net", "one")
    assert names.ask_in(daemon.host_pid("two"), name="last")["answers"] == [docker.inspect("one", "NetworkSettings.Networks.net.IPAddress")]
    docker.ok("rm", "-f", "one", "two")
    docker.ok("network", "rm", "net")


def test_containers_run_on_and_are_adopted(daemon, docker):
    number = run(docker, "on", "while :; do sleep 0.1; done")
    before = docker.inspect("on", "State")
    daemon.kill()
    assert os.path.exists(f"/proc/{before['Pid']}")
    daemon.start()
    after = docker.inspect("on", "State")
    assert (after["Pid"], after["StartedAt"], after["Status"]) == (before["Pid"], before["StartedAt"], "running")
    assert docker.ok("ps", "-q", "--no-trunc") == number
    assert docker.ok("exec", "on", "echo", "hello") == "hello"
    docker.ok("stop", "-t", "0", "on")
    assert docker.inspect("on", "State.ExitCode") == 137


def test_terminate_leaves_containers_running_too(daemon, docker):
    run(docker, "term", "sleep 600")
    pid = docker.inspect("term", "State.Pid")
    daemon.terminate()
    assert os.path.exists(f"/proc/{pid}") and not os.path.exists(daemon.pidfile)
    daemon.start()
    assert docker.inspect("term", "State.Pid") == pid


def test_terminate_does_not_wait_for_the_trash(daemon, docker):
    daemon.terminate()
    many = daemon.data / "overlay" / "trash" / "many"
    for n in range(4_000):
        os.makedirs(many / str(n) / "deeper")
    daemon.start()
    daemon.terminate()
    assert any(many.iterdir()), "all of it was deleted first"
    daemon.start()
    eventually(lambda: not many.exists(), "an empty trash", 60)


def test_exit_while_nobody_looked(daemon, docker):
    run(docker, "unseen", "while [ ! -e /go ]; do sleep 0.05; done; exit 42", "-v", f"{daemon.work}:/shared")
    run(docker, "removed", "while [ ! -e /shared/go ]; do sleep 0.05; done; exit 1", "--rm", "-v", f"{daemon.work}:/shared")
    pid = docker.inspect("unseen", "State.Pid")
    daemon.kill()
    (daemon.work / "go").touch()
    Path(f"/proc/{pid}/root/go").touch()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the container")
    daemon.start()
    state = docker.inspect("unseen", "State")
    assert (state["Status"], state["ExitCode"]) == ("exited", 42) and state["FinishedAt"] > state["StartedAt"]
    assert docker.ok("wait", "unseen") == "42"
    eventually(lambda: docker.run("inspect", "removed").code == 1, "the removal by --rm")
    (daemon.work / "go").unlink()


def test_log_is_complete(daemon, docker):
    run(docker, "log", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.02; done")
    for _ in range(3):
        time.sleep(0.1)
        daemon.restart()
    docker.ok("wait", "log")
    assert docker.ok("logs", "log").split() == [str(n) for n in range(3000)]


def test_published_ports_stay(daemon, docker):
    run(docker, "pub", "while :; do echo here | nc -l -p 80; done", "-p", "127.0.0.1::80")
    port = int(docker.ok("port", "pub", "80").rpartition(":")[2])

    def answer():
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                return s.recv(100) == b"here\n"
        except OSError:
            return False
    eventually(answer, "an answer before")
    daemon.kill()
    eventually(answer, "an answer while the daemon is dead")
    daemon.start()
    eventually(answer, "an answer after")
    docker.fails("run", "--rm", "-p", f"127.0.0.1:{port}:80", BOX, "true", code=125)
    docker.ok("rm", "-f", "pub")
    assert not answer(), "the port is still open"


def test_addresses_are_not_given_twice(daemon, docker):
    run(docker, "first", "sleep 600")
    daemon.restart()
    run(docker, "second", "sleep 600")
    addresses = [docker.inspect(n, "NetworkSettings.Networks.bridge.IPAddress") for n in ("first", "second")]
    assert addresses[0] != addresses[1]


def test_attached_sessions_survive(daemon, docker):
    """With `attach`: `docker run` itself gives up as soon as its wait request breaks."""
    docker.ok("run", "-di", "--name", "kept", BOX, "cat")
    process = docker.popen("attach", "kept")
    process.stdin.write(b"before\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"before\n"
    daemon.kill()
    process.stdin.write(b"while it is dead\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"while it is dead\n"
    daemon.start()
    docker.ok("stop", "-t", "0", "kept")
    assert process.stdout.read() == b""
    process.wait(20)
    eventually(lambda: docker.inspect("kept", "State.Status") == "exited", "the end of cat")
    assert docker.ok("logs", "kept").splitlines() == ["before", "while it is dead"]


def test_terminal_is_attached_again(daemon, docker):
    with Terminal(docker, "run", "-it", "--name", "pty", BOX, "sh") as term:
        term.shell("x=kept")
        daemon.restart()
    with Terminal(docker, "attach", "pty") as term:
        assert term.shell("echo $x") == "kept"
        term.line("exit 3")
        term.ends()
    assert docker.ok("wait", "pty") == "3"


def test_exec_outlives_the_daemon(daemon, docker):
    run(docker, "ex", "sleep 600")
    process = docker.popen("exec", "ex", "sh", "-c", "echo ready; while [ ! -e /go ]; do sleep 0.05; done; echo after")
    assert process.stdout.readline() == b"ready\n"
    daemon.restart()
    docker.ok("exec", "ex", "touch", "/go")
    assert process.stdout.read() == b"after\n"


def test_paused_stays_paused(daemon, docker):
    run(docker, "frozen", "sleep 600")
    docker.ok("pause", "frozen")
    daemon.restart()
    assert docker.inspect("frozen", "State.Status") == "paused"
    docker.ok("unpause", "frozen")
    assert docker.ok("exec", "frozen", "echo", "warm") == "warm"


def test_frozen_but_not_yet_recorded(daemon, docker):
    """The daemon died between the freezer and the record: the freezer is right."""
    run(docker, "ice", "sleep 600")
    folders = cgroups.paths(docker.inspect("ice", "State.Pid"))
    daemon.kill()
    if cgroups.is_v2():
        (folders[""] / "cgroup.freeze").write_text("1")
    else:
        (folders["freezer"] / "freezer.state").write_text("FROZEN")
    daemon.start()
    assert docker.inspect("ice", "State.Status") == "paused"
    docker.ok("unpause", "ice")
    assert docker.ok("exec", "ice", "echo", "warm") == "warm"
    docker.ok("pause", "ice")
    docker.ok("rm", "-f", "ice")


def change_state(daemon, name, **changes):
    """Rewrites a record while no daemon runs: what a crash in the middle of something leaves."""
    with contextlib.closing(sqlite3.connect(daemon.data / "corten.db")) as db, db:
        for key, value in changes.items():
            db.execute("UPDATE container SET state = json_set(state, ?, json(?)) WHERE name = ?", (f"$.{key}", json.dumps(value), name))


@pytest.mark.parametrize("with_volumes", [False, True])
def test_removal_is_finished_as_it_was_asked_for(daemon, docker, with_volumes):
    docker.ok("run", "--name", "half", "-v", "/data", BOX, "touch", "/data/kept")
    volume = docker.inspect("half", "Mounts")[0]["Name"]
    daemon.kill()
    change_state(daemon, "half", status="removing", removesVolumes=with_volumes)
    daemon.start()
    docker.fails("inspect", "half", code=1)
    assert (volume in docker.ok("volume", "ls", "-q").split()) is not with_volumes


def test_what_cannot_be_read_or_removed_does_not_stop_the_daemon(daemon, docker):
    run(docker, "good", "sleep 600")
    number = docker.ok("run", "-d", "--name", "bad", BOX, "sleep", "600")
    stuck = daemon.data / "containers" / ("f" * 64) / "mnt"
    daemon.kill()
    with contextlib.closing(sqlite3.connect(daemon.data / "corten.db")) as db, db:
        before, = db.execute("SELECT state FROM container WHERE name = 'bad'").fetchone()
        db.execute("UPDATE container SET state = '{' WHERE name = 'bad'")
    stuck.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "stuck", str(stuck)], check=True)
    try:
        daemon.start()
        assert docker.ok("exec", "good", "echo", "well") == "well"
        assert docker.run("inspect", "bad").code == 1 and stuck.exists()
        docker.fails("create", "--name", "bad", BOX, says="already in use")
    finally:
        subprocess.run(["umount", str(stuck)], check=True)
    daemon.kill()
    with contextlib.closing(sqlite3.connect(daemon.data / "corten.db")) as db, db:
        db.execute("UPDATE container SET state = ? WHERE name = 'bad'", (before,))
    daemon.start()
    assert docker.ok("exec", number, "echo", "back") == "back" and not stuck.exists()


def test_exit_code_that_could_not_be_recorded(daemon, docker):
    """Somebody holds the database while a container ends: the next daemon learns the code from the exit file."""
    run(docker, "held", "while [ ! -e /go ]; do sleep 0.05; done; exit 7")
    pid = docker.inspect("held", "State.Pid")
    with contextlib.closing(sqlite3.connect(daemon.data / "corten.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        Path(f"/proc/{pid}/root/go").touch()
        eventually(lambda: "database" in daemon.logs(), "the failure in the log", 40)
        eventually(lambda: docker.inspect("held", "State.Status") == "exited", "the end")
        daemon.kill()
        db.execute("ROLLBACK")
    daemon.start()
    assert docker.inspect("held", "State.ExitCode") == 7


def test_restart_policies_after_a_stop_by_hand(daemon, docker):
    for policy in ("always", "unless-stopped"):
        run(docker, policy, "sleep 600", "--restart", policy)
    docker.ok("stop", "-t", "0", "always", "unless-stopped")
    daemon.restart("terminate")
    eventually(lambda: docker.inspect("always", "State.Running"), "the start of what always runs")
    assert docker.inspect("unless-stopped", "State.Status") == "exited"


def test_restart_policies_after_a_crash(daemon, docker):
    number = run(docker, "always", "sleep 600", "--restart", "always")
    run(docker, "never", "sleep 600")
    pids = [docker.inspect(n, "State.Pid") for n in ("always", "never")]
    daemon.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), "the end of both")
    daemon.start()
    eventually(lambda: docker.inspect("always", "State.Running"), "the restart")
    assert docker.inspect("always", "Id") == number and docker.inspect("always", "State.Pid") != pids[0]
    assert docker.inspect("never", "State.Status") == "exited" and docker.inspect("never", "State.ExitCode") == 137


def test_health_goes_on(daemon, docker):
    run(docker, "healthy", "sleep 600", "--health-cmd", "test ! -e /ill", "--health-interval", "200ms", "--health-retries", "1")
    eventually(lambda: docker.inspect("healthy", "State.Health.Status") == "healthy", "health")
    daemon.restart()
    docker.ok("exec", "healthy", "touch", "/ill")
    eventually(lambda: docker.inspect("healthy", "State.Health.Status") == "unhealthy", "illness seen by the next daemon")


def supervisor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_kill_of_the_supervisor(daemon, docker):
    """Without its supervisor a container cannot be led: it ends, and the record says so."""
    run(docker, "orphan", "sleep 600")
    pid = docker.inspect("orphan", "State.Pid")
    groups = cgroups.paths(pid).values()
    os.kill(supervisor_of(pid), signal.SIGKILL)
    eventually(lambda: docker.inspect("orphan", "State.Running") is False, "the record of the end")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the process")
    assert not [group for group in groups if "corten" in str(group) and group.exists()]
    assert docker.inspect("orphan", "State.ExitCode") != 0
    docker.ok("start", "orphan")
    assert docker.ok("exec", "orphan", "echo", "again") == "again"


def test_kill_of_supervisor_and_daemon(daemon, docker):
    run(docker, "both", "sleep 600")
    pid = docker.inspect("both", "State.Pid")
    supervisor = supervisor_of(pid)
    daemon.kill()
    os.kill(supervisor, signal.SIGKILL)
    daemon.start()
    eventually(lambda: docker.inspect("both", "State.Running") is False, "the record of the end")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the process")
    docker.ok("rm", "both")


def test_after_a_reboot(daemon, docker):
    """What a reboot leaves: the data, but no process, no runtime directory, no bridge."""
    run(docker, "back", "echo up; sleep 600", "--restart", "unless-stopped")
    run(docker, "off", "sleep 600")
    docker.ok("run", "--name", "data", "-v", "vol:/v", BOX, "sh", "-c", "echo kept > /v/f; echo kept > /f")
    pids = [docker.inspect(n, "State.Pid") for n in ("back", "off")]
    supervisors = [supervisor_of(p) for p in pids]
    daemon.kill()
    for pid in supervisors + pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), "the end of all")
    subprocess.run(["rm", "-rf", str(daemon.run)], check=True)
    subprocess.run(["ip", "link", "del", daemon.bridge], check=True)
    daemon.start()
    eventually(lambda: docker.inspect("back", "State.Running"), "the restart")
    assert docker.inspect("off", "State.Status") == "exited"
    docker.ok("start", "off")
    assert docker.ok("run", "--rm", "-v", "vol:/v", BOX, "cat", "/v/f") == "kept"
    copied = docker.run("cp", "data:/f", "-")
    assert b"kept" in copied.raw


# --- in the middle of things ---------------------------------------------------------------------

def test_pull_interrupted(daemon, docker, box_tar):
    """Killed with one layer here and the other on its way: the next pull fetches only the rest."""
    bad = registries.FaultyRegistry()
    try:
        layers = [images.tar([images.Entry(f"f{n}", data=os.urandom(200000))]) for n in range(2)]
        picture = images.image([box_tar, *layers])
        reference = bad.put("interrupted", "1", picture)
        gate = threading.Event()
        slow = picture.layers[2].digest
        bad.faults[slow] = registries.stalls(gate)
        process = docker.popen("pull", reference)
        eventually(lambda: any(slow in path for _, path, _ in bad.requests), "the second layer's download")
        daemon.kill()
        assert process.wait(20) != 0
        gate.set()
        bad.faults.clear()
        daemon.start()
        assert docker.ok("images", "-q", reference.rpartition(":")[0]) == ""
        docker.ok("pull", reference)
        assert docker.ok("run", "--rm", reference, "sh", "-c", "cat /f0 /f1 | wc -c") == "400000"
    finally:
        bad.stop()


def settled(daemon, docker):
    """After a crash: every record has a state that is one, every running one has its process, every other one has none."""
    for record in daemon.api.get("/containers/json?all=1").json():
        answer = daemon.api.get(f"/containers/{record['Id']}/json")
        if answer.status == 404:
            continue
        state = answer.json()["State"]
        if state["Running"] and not os.path.exists(f"/proc/{state['Pid']}"):
            # It may have ended since the answer was written; then the next one says so.
            eventually(lambda: not daemon.api.get(f"/containers/{record['Id']}/json").json().get("State", {}).get("Running"), "the end's record")
            continue
        assert state["Status"] in ("created", "running", "exited", "paused", "restarting", "removing", "dead"), state
        if state["Status"] == "running":
            done = docker.run("exec", record["Id"], "echo", "x")
            # It may end meanwhile, and be removed.
            assert done.out.strip() == "x" or re.search("not running|No such container|received 404", done.err), done
        if state["Status"] == "exited":
            assert state["Pid"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_kill_at_random_moments(daemon, docker, box_reference, seed):
    """Clients run, exec, remove and pull without pause while the daemon is killed again and again."""
    dice = random.Random(seed)
    stop = threading.Event()
    repo, tag = box_reference.rpartition(":")[0], box_reference.rpartition(":")[2]

    def busy(n):
        mine = random.Random(seed * 100 + n)
        while not stop.is_set():
            try:
                what = mine.randrange(5)
                if what < 2:
                    made = daemon.api.post(f"/containers/create?name=r{seed}-{n}-{mine.randrange(10**6)}", {"Image": BOX, "Cmd": ["sh", "-c", "echo out; sleep 0.05"],
                                           "HostConfig": {"AutoRemove": mine.random() < 0.3, "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}})
                    if made.status == 201:
                        number = made.json()["Id"]
                        daemon.seen.add(number)
                        daemon.api.post(f"/containers/{number}/start")
                        if mine.random() < 0.5:
                            daemon.api.post(f"/containers/{number}/wait", timeout=5)
                        if mine.random() < 0.7:
                            daemon.api.delete(f"/containers/{number}?force=1&v=1")
                elif what == 2:
                    listed = daemon.api.get("/containers/json?all=1").json()
                    if listed:
                        daemon.api.delete(f"/containers/{mine.choice(listed)['Id']}?force=1")
                elif what == 3:
                    daemon.api.post(f"/images/{BOX}/tag?repo=t{mine.randrange(5)}&tag=x")
                    daemon.api.delete(f"/images/t{mine.randrange(5)}:x")
                else:
                    daemon.api.post(f"/images/create?fromImage={repo}&tag={tag}", timeout=10)
            except (OSError, HTTPException, json.JSONDecodeError):
                time.sleep(0.01)  # the daemon was killed under this request

    workers = [threading.Thread(target=busy, args=(n,), daemon=True) for n in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(6):
            time.sleep(dice.uniform(0.02, 0.6))
            daemon.kill()
            daemon.start()
    finally:
        stop.set()
        for worker in workers:
            worker.join(30)
    daemon.remember()
    settled(daemon, docker)
    assert docker.ok("run", "--rm", BOX, "echo", "well") == "well"
    for record in daemon.containers():
        gone = daemon.api.delete(f"/containers/{record['Id']}?force=1&v=1", timeout=60)
        assert gone.status in (204, 404), gone
    eventually(lambda: not daemon.containers(), "removal of all")

    def clean():
        found = leftovers(daemon)
        assert not found, found
        return True
    eventually(clean, "a host without remains", 20)


def leftovers(daemon) -> list:
    """Cgroups, processes and files of containers that are no longer there."""
    found = [c for c in host.cgroups() if any(number in c for number in daemon.seen)]
    found += [str(p) for p in host.processes() if p[2] in daemon.seen]
    found += [str(p) for folder in ("data", "run") for p in getattr(daemon, folder).rglob("*") if p.name[:64] in daemon.seen]
    return found


def test_kill_while_starting_up(daemon, docker):
    """A daemon that is killed during its own recovery, several times, recovers in the end."""
    numbers = [run(docker, f"s{n}", "sleep 600") for n in range(4)]
    for wait in (0.0, 0.005, 0.02, 0.05, 0.1):
        daemon.kill()
        daemon.start(wait=False)
        time.sleep(wait)
    daemon.kill()
    daemon.start()
    assert set(docker.ok("ps", "-q", "--no-trunc").split()) == set(numbers)
    assert all(docker.ok("exec", n, "echo", "x") == "x" for n in numbers)


def test_stale_pid_file_and_socket(daemon, docker):
    daemon.kill()
    daemon.pidfile.write_text("1\n")
    assert os.path.exists(daemon.socket)
    daemon.start()
    assert int(daemon.pidfile.read_text()) == daemon.process.pid


def test_events_of_a_death_that_nobody_saw(daemon, docker):
    since = time.time()
    number = run(docker, "quiet", "while [ ! -e /go ]; do sleep 0.05; done; exit 9")
    pid = docker.inspect("quiet", "State.Pid")
    daemon.kill()
    Path(f"/proc/{pid}/root/go").touch()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end")
    daemon.start()
    docker.ok("wait", "quiet")
    lines = docker.ok("events", "--since", f"{since:.3f}", "--until", f"{time.time() + 1:.3f}", "--filter", f"container={number}", "--format", "{{json .}}")
    assert "die" in {json.loads(line)["Action"] for line in lines.splitlines()}, lines
    assert re.search('"exitCode":"9"', lines)
