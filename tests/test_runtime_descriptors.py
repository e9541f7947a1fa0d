"""corten-runtime: which descriptors of its caller go on into a container, and that none of its own does."""
import re
import subprocess

import pytest

from support.bundles import message
from support.wait import eventually

pytestmark = pytest.mark.corten_only
LOOK = "ls -l /proc/self/fd; env"


def through_shell(runtime, script):
    """The runtime's command line comes after `script`, which says with what it is executed."""
    runtime.prefix = ["sh", "-c", script + ' exec "$@"', "caller"]


@pytest.mark.parametrize("options", [(), ("--log", "log")], ids=["", "log"])
@pytest.mark.parametrize("way", ["run", "create", "exec"])
def test_cve_2024_21626_only_what_was_open_is_preserved(runtime, bundle, folder, way, options):
    """Under a number that was free stands something of the runtime's: the lock of its state, its log."""
    runtime.start("other", bundle.save("sleep", "1000"))
    given = [word if word.startswith("-") else str(folder / word) for word in options]
    words = ["other", "true"] if way == "exec" else ["--bundle", bundle.path, "box"]
    done = runtime.run(*given, way, "--preserve-fds", "1", *words)
    assert done.code == (255 if way == "exec" else 1) and "preserved-fd 3 (of 1)" in message(done)
    runtime.fails("state", "box", says="container does not exist")


def test_descriptors_of_socket_activation_go_on(runtime, bundle, folder):
    (folder / "file").write_text("")
    through_shell(runtime, f"export LISTEN_PID=$$ LISTEN_FDS=1; exec 3< {folder}/file;")
    shown = runtime.output("active", bundle.shell(LOOK))
    assert f"3 -> {folder}/file" in shown and "LISTEN_FDS=1\n" in shown and "LISTEN_PID=1\n" in shown


@pytest.mark.parametrize("pid", ["1", "", "x", None])
def test_socket_activation_of_another_process_is_none_of_ours(runtime, bundle, pid):
    """The variables may have come along from whoever was activated."""
    through_shell(runtime, f"export LISTEN_FDS=2; {'unset LISTEN_PID' if pid is None else f'export LISTEN_PID={pid}'};")
    shown = runtime.output("inactive", bundle.shell(LOOK))
    assert "LISTEN_" not in shown and " 4 -> " not in shown


def test_socket_activation_without_its_descriptors_is_an_error(runtime, bundle):
    through_shell(runtime, "export LISTEN_PID=$$ LISTEN_FDS=2; exec 3< /dev/null;")
    done = runtime.run("run", "--bundle", bundle.save("true").path, "lost")
    assert done.code == 1 and "preserved-fd 4 (of 2)" in message(done)


@pytest.mark.parametrize("way", ["run", "create", "exec"])
@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2)], ids=["input", "output", "all"])
def test_streams_that_the_caller_closed_are_empty(runtime, bundle, way, closed):
    """Whatever the runtime opened first would stand there, and go on into the container."""
    (bundle.root / "tmp").chmod(0o777)
    look = ["sh", "-c", "(ls -l /proc/$$/fd) > /tmp/new; mv /tmp/new /tmp/seen"]
    if way == "exec":
        runtime.start("closed", bundle.save("sleep", "1000"))
    words = ["closed", *look] if way == "exec" else ["--bundle", bundle.save(*look).path, "closed"]
    runtime.made.add("closed")
    argv, closing = runtime.argv(way, *words), " ".join(f"{n}>&-" for n in closed)
    subprocess.run(["sh", "-c", f'exec "$@" {closing}', "caller", *argv], stdin=subprocess.PIPE, check=True, timeout=60)
    if way == "create":
        runtime.ok("start", "closed")
    seen = bundle.root / "tmp" / "seen"
    eventually(seen.exists, "what the container has open")
    found = {int(number): target for number, target in re.findall(r" (\d+) -> (.*)$", seen.read_text(), re.M)}
    assert set(found) == {0, 1, 2} and all(found[number] == "/dev/null" for number in closed), found
