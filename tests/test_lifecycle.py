"""A container's life: every state, every way out of it, and what is said when there is none."""
import io
import os
import re
import socket
import tarfile
import time
from concurrent import futures

import pytest
from support import http, images
from support.engines import BOX
from support.wait import eventually


def state(cli, name):
    return cli.inspect(name, "State")


def run(cli, name, *command, flags=()):
    return cli.ok("run", "-d", "--name", name, *flags, BOX, *(command or ("sleep", "600")))


def test_create_start_stop_remove(cli):
    number = cli.ok("create", "--name", "one", BOX, "sleep", "600")
    found = cli.inspect("one")
    assert found["Id"] == number and found["State"]["Status"] == "created" and found["State"]["Pid"] == 0
    assert found["State"]["StartedAt"] == "0001-01-01T00:00:00Z"
    assert cli.ok("start", "one") == "one"
    assert state(cli, "one")["Running"] is True and state(cli, "one")["Pid"] > 0
    cli.ok("stop", "-t", "1", "one")
    ended = state(cli, "one")
    assert (ended["Status"], ended["ExitCode"], ended["Running"]) == ("exited", 137, False)
    assert ended["FinishedAt"] > ended["StartedAt"]
    assert cli.ok("rm", "one") == "one"
    cli.fails("inspect", "one", code=1)


def test_stop_is_polite_first(cli):
    run(cli, "polite", "sh", "-c", "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: "ready" in cli.ok("logs", "polite"), "the trap")
    cli.ok("stop", "polite")
    assert state(cli, "polite")["ExitCode"] == 5 and "caught" in cli.ok("logs", "polite")


def test_stop_twice_and_start_twice_are_fine(cli):
    run(cli, "idem")
    cli.ok("start", "idem")
    cli.ok("stop", "-t", "0", "idem")
    cli.ok("stop", "idem")


def test_restart_gives_a_new_process_on_the_same_files(cli):
    run(cli, "again", "sh", "-c", "echo x >> /count; sleep 600")
    eventually(lambda: cli.ok("exec", "again", "cat", "/count") == "x", "the first run")
    before = state(cli, "again")
    cli.ok("restart", "-t", "0", "again")
    assert state(cli, "again")["Pid"] not in (0, before["Pid"])
    eventually(lambda: cli.ok("exec", "again", "cat", "/count") == "x\nx", "the second run")


@pytest.mark.parametrize("signal, code", [("KILL", 137), ("SIGTERM", 143), ("2", 130)])
def test_kill(cli, signal, code):
    run(cli, "killed", "sh", "-c", "trap 'exit 143' TERM; trap 'exit 130' INT; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: "ready" in cli.ok("logs", "killed"), "the traps")
    cli.ok("kill", "-s", signal, "killed")
    assert cli.ok("wait", "killed") == str(code)


def test_kill_of_what_does_not_run(cli):
    cli.ok("create", "--name", "still", BOX)
    cli.fails("kill", "still", code=1, says="is not running")
    cli.fails("kill", "-s", "NOSUCH", "still", code=1, says="(?i)invalid signal|not running")


def test_pause_and_unpause(cli):
    run(cli, "paused", "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    cli.ok("pause", "paused")
    assert (state(cli, "paused")["Status"], state(cli, "paused")["Paused"]) == ("paused", True)
    assert "(Paused)" in cli.ok("ps", "--filter", "name=paused", "--format", "{{.Status}}")
    cli.fails("exec", "paused", "true", says="is paused")
    count = cli.ok("logs", "paused").count("tick")
    time.sleep(0.3)
    assert cli.ok("logs", "paused").count("tick") == count
    cli.ok("unpause", "paused")
    eventually(lambda: cli.ok("logs", "paused").count("tick") > count, "the next tick")
    cli.fails("unpause", "paused", code=1, says="is not paused")


@pytest.mark.parametrize("verb", [["stop", "-t", "60"], ["kill", "-s", "TERM"]])
def test_a_paused_container_can_be_ended_politely(cli, verb):
    run(cli, "thawed", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    eventually(lambda: "ready" in cli.ok("logs", "thawed"), "the trap")
    cli.ok("pause", "thawed")
    cli.ok(*verb, "thawed")
    assert cli.ok("wait", "thawed") == "5"


def test_restart_keeps_what_rm_would_remove(cli):
    number = run(cli, "kept", "sh", "-c", "echo x >> /count; sleep 600", flags=["--rm"])
    before = state(cli, "kept")["Pid"]
    cli.ok("restart", "-t", "0", "kept")
    assert cli.inspect("kept", "Id") == number and state(cli, "kept")["Pid"] not in (0, before)
    eventually(lambda: cli.ok("exec", "kept", "cat", "/count") == "x\nx", "the second run")
    cli.ok("stop", "-t", "0", "kept")
    eventually(lambda: cli.run("inspect", "kept").code == 1, "the removal at the end")


def test_wait(cli):
    run(cli, "w1", "sh", "-c", "sleep 0.5; exit 3")
    run(cli, "w2", "sh", "-c", "exit 4")
    assert cli.ok("wait", "w1", "w2").split() == ["3", "4"]


def test_rename(cli):
    run(cli, "old")
    cli.ok("rename", "old", "new")
    assert cli.inspect("new", "Name") == "/new"
    cli.fails("inspect", "old", code=1)
    run(cli, "taken")
    cli.fails("rename", "new", "taken", code=1, says="already in use")


def test_name_taken(cli):
    number = run(cli, "dup")
    cli.fails("run", "--name", "dup", BOX, "true", code=125, says=f'The container name "/dup" is already in use by container "{number}"')


@pytest.mark.parametrize("name", ["-bad", "a/b", "ü", "x", "a b", "..", "../../etc"])
def test_bad_names(cli, name):
    cli.fails("create", f"--name={name}", BOX, says=r"(?i)invalid container name")


def test_remove_of_a_running_container(cli):
    run(cli, "busy")
    cli.fails("rm", "busy", code=1, says="is running")
    cli.ok("rm", "-f", "busy")
    cli.fails("inspect", "busy", code=1)


def test_remove_several(cli):
    for name in ("r1", "r2", "r3"):
        cli.ok("create", "--name", name, BOX)
    assert cli.ok("rm", "r1", "r2", "r3").split() == ["r1", "r2", "r3"]


def test_missing_container(cli):
    for verb in (["start"], ["stop"], ["kill"], ["restart"], ["pause"], ["unpause"], ["wait"], ["rm"], ["logs"], ["top"], ["port"], ["diff"]):
        cli.fails(*verb, "nosuch", code=1, says="(?i)no such container: nosuch")
    cli.fails("exec", "nosuch", "true", code=1, says="(?i)no such container: nosuch")


def test_lookup_by_prefix_name_and_slash(cli):
    number = run(cli, "found")
    for key in (number, number[:12], number[:5], "found", "/found"):
        assert cli.inspect(key, "Id") == number


def test_copy_that_nobody_reads_holds_nobody_up(docker, engine):
    docker.ok("run", "--name", "full", BOX, "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=32")
    with socket.socket(socket.AF_UNIX) as stalled:
        stalled.connect(engine.socket)
        stalled.sendall(b"GET /containers/full/archive?path=/big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stalled.recv(100).startswith(b"HTTP/1.1 200")
        docker.ok("start", "-a", "full")
        docker.ok("rm", "full")


@pytest.mark.corten_only
def test_upload_that_stalls_holds_nobody_up(docker, engine):
    docker.ok("create", "--name", "filled", BOX, "cat", "/new")
    archive = images.tar([images.text("new", "content\n")])
    with engine.api.socket() as stalled:
        stalled.sendall(b"PUT /containers/filled/archive?path=/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(archive))
        assert http.read_until(stalled, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        stalled.sendall(archive[:700])
        assert docker.run("start", "-a", "filled").code == 1
        stalled.sendall(archive[700:])
        assert http.read_until(stalled, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert docker.ok("start", "-a", "filled") == "content"
    docker.ok("rm", "filled")


def test_upload_to_where_nothing_is(engine, docker):
    """Which is said before the archive has come."""
    docker.ok("create", "--name", "filled", BOX)
    with engine.api.socket() as s:
        s.sendall(b"PUT /containers/filled/archive?path=/nosuch HTTP/1.1\r\nHost: x\r\nContent-Length: 10240\r\n\r\n")
        assert http.read_until(s, b"\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_files_of_a_container_that_has_changed_its_root(cli, engine):
    """What is copied and executed is what the container has, not what its first process has left itself of it."""
    script = "echo outer > /which; mkdir -p /in/bin; cp /bin/busybox /in/bin; echo inner > /in/which; exec chroot /in /bin/busybox sleep 600"
    run(cli, "rooted", "sh", "-c", script)
    pid = engine.host_pid("rooted")
    eventually(lambda: os.readlink(f"/proc/{pid}/root").endswith("/in"), "the other root")
    reply = engine.api.get("/containers/rooted/archive?path=/which")
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
        assert archive.extractfile("which").read() == b"outer\n"
    archive = images.tar([images.text("put", "")])
    assert engine.api.request("PUT", "/containers/rooted/archive?path=/", archive).status == 200
    assert cli.ok("exec", "rooted", "ls", "-d", "/put", "/which").split() == ["/put", "/which"]


def test_export_of_a_running_container_is_its_own_files(cli):
    run(cli, "exported", "sh", "-c", "echo x > /home/in-volume; echo new > /made; exec sleep 600", flags=["-v", "hides:/home:nocopy"])
    eventually(lambda: cli.run("exec", "exported", "test", "-s", "/made").code == 0, "the new file")
    with tarfile.open(fileobj=io.BytesIO(cli.run("export", "exported").raw)) as archive:
        assert archive.extractfile("made").read() == b"new\n"
        names = {name.rstrip("/") for name in archive.getnames()}
        assert archive.getmember("etc/hosts").size == 0, "what is mounted is not the container's"
    assert "home/alice" in names and "home/in-volume" not in names
    assert not [name for name in names if name.startswith(("proc/", "sys/"))]


def test_exec_that_is_started_twice_at_once(docker, engine):
    run(docker, "once")
    for _ in range(10):
        number = engine.api.post("/containers/once/exec", {"Cmd": ["sleep", "600"]}).json()["Id"]
        with futures.ThreadPoolExecutor(2) as pool:
            starts = [pool.submit(engine.api.post, f"/exec/{number}/start", {"Detach": True}) for _ in range(2)]
        assert sorted(start.result().status for start in starts) == [200, 409]
        assert engine.api.get(f"/exec/{number}/json").json()["Running"] is True


# --- restart policies ----------------------------------------------------------------------------

def test_restart_on_failure_gives_up(cli):
    run(cli, "fails", "false", flags=["--restart", "on-failure:2"])
    eventually(lambda: cli.inspect("fails", "RestartCount") == 2 and state(cli, "fails")["Status"] == "exited", "the last attempt")
    assert state(cli, "fails")["ExitCode"] == 1


def test_restarts_are_counted_anew_after_a_start_by_hand(cli):
    run(cli, "anew", "sh", "-c", "echo up; exit 1", flags=["--restart", "on-failure:2"])
    eventually(lambda: cli.inspect("anew", "RestartCount") == 2 and state(cli, "anew")["Status"] == "exited", "the last attempt")
    cli.ok("start", "anew")
    eventually(lambda: cli.ok("logs", "anew").count("up") == 6, "three more runs")
    eventually(lambda: state(cli, "anew")["Status"] == "exited", "the end")
    assert cli.inspect("anew", "RestartCount") == 2


def test_restart_on_failure_leaves_success_alone(cli):
    run(cli, "succeeds", "true", flags=["--restart", "on-failure"])
    eventually(lambda: state(cli, "succeeds")["Status"] == "exited", "the end")
    assert cli.inspect("succeeds", "RestartCount") == 0


def test_restart_always_and_stop(cli):
    run(cli, "always", "sh", "-c", "echo up; exit 1", flags=["--restart", "always"])
    eventually(lambda: cli.inspect("always", "RestartCount") >= 2, "two restarts")
    assert cli.ok("logs", "always").count("up") >= 2
    cli.ok("stop", "always")
    count = cli.inspect("always", "RestartCount")
    time.sleep(0.5)
    assert state(cli, "always")["Running"] is False and cli.inspect("always", "RestartCount") == count


def test_restart_policy_conflicts_with_rm(cli):
    cli.fails("run", "--rm", "--restart", "always", BOX, "true", code=125, says="(?i)conflict")
    cli.fails("run", "--restart", "sometimes", BOX, "true", code=125, says="(?i)invalid restart policy|unknown policy")


# --- health --------------------------------------------------------------------------------------

def test_health_turns_healthy_and_unhealthy(cli):
    run(cli, "health", flags=["--health-cmd", "echo checked; test ! -e /ill", "--health-interval", "200ms", "--health-retries", "2"])
    assert cli.inspect("health", "State.Health.Status") in ("starting", "healthy")
    eventually(lambda: cli.inspect("health", "State.Health.Status") == "healthy", "health")
    assert "(healthy)" in cli.ok("ps", "--filter", "name=health", "--format", "{{.Status}}")
    cli.ok("exec", "health", "touch", "/ill")
    eventually(lambda: cli.inspect("health", "State.Health.Status") == "unhealthy", "illness")
    health = cli.inspect("health", "State.Health")
    assert health["FailingStreak"] >= 2 and health["Log"][-1]["ExitCode"] == 1 and health["Log"][-1]["Output"] == "checked\n"
    cli.ok("exec", "health", "rm", "/ill")
    eventually(lambda: cli.inspect("health", "State.Health.Status") == "healthy", "recovery")


def test_health_timeout(cli):
    run(cli, "slow", flags=["--health-cmd", "sleep 60", "--health-interval", "100ms", "--health-timeout", "300ms", "--health-retries", "1"])
    eventually(lambda: cli.inspect("slow", "State.Health.Status") == "unhealthy", "the timeout")
    assert "exceeded timeout" in cli.inspect("slow", "State.Health.Log")[-1]["Output"]


def test_no_healthcheck(cli):
    run(cli, "unchecked", flags=["--no-healthcheck"])
    assert "Health" not in state(cli, "unchecked")


# --- failed starts -------------------------------------------------------------------------------

def test_port_in_use_fails_at_start(cli):
    run(cli, "first", flags=["-p", "127.0.0.1::80"])
    port = cli.ok("port", "first", "80").rpartition(":")[2]
    done = cli.fails("run", "-d", "--name", "second", "-p", f"127.0.0.1:{port}:80", BOX, "sleep", "600", code=125)
    assert re.search("(?i)already allocated|already in use|port", done.err)
    assert state(cli, "second")["Status"] == "created"
    cli.ok("rm", "-f", "first")
    cli.ok("start", "second")
    assert state(cli, "second")["Running"] is True


def test_failed_start_is_recorded(cli):
    cli.fails("run", "--name", "broken", BOX, "nosuch", code=127)
    found = state(cli, "broken")
    assert found["Status"] == "created" and found["ExitCode"] == 127 and "nosuch" in found["Error"]
