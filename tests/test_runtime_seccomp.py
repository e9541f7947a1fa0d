"""corten-runtime and seccomp: what a listener is told, names that are not known, and the filters that are kept for the next one."""
import json
import os
import re
import threading

import pytest

from support.bundles import descriptor_socket

pytestmark = pytest.mark.corten_only


def section(action, names, otherwise="SCMP_ACT_ALLOW", **more):
    return {"defaultAction": otherwise, "syscalls": [{"names": names, "action": action, **more.pop("rule", {})}], **more}


@pytest.fixture
def listener(folder):
    """(path of the agent's socket, function that gives what it was told)."""
    path = folder / "agent.sock"
    with descriptor_socket(path) as received:
        def told() -> dict:
            text, fd = received()
            os.close(fd)  # what waits for an answer fails now
            return json.loads(text)
        yield path, told


def in_background(work):
    """Its result, once it is there."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def result():
        thread.join()
        return results[0]
    return result


@pytest.mark.parametrize("way", ["run", "create"])
def test_listener_is_told_of_a_new_container(runtime, bundle, folder, listener, way):
    """config-linux.md, "The Container Process State": the process' id is the host's."""
    path, told = listener
    bundle.config["annotations"] = {"org.example.key": "value"}
    bundle.config["linux"]["seccomp"] = section("SCMP_ACT_NOTIFY", ["mkdir"], listenerPath=str(path), listenerMetadata="some")
    bundle.save("sleep", "1000")
    found = in_background(told)
    runtime.made.add("watched")
    if way == "create":
        runtime.start("watched", bundle)
    else:
        runtime.ok("run", "--detach", "--bundle", bundle.path, "watched")
    pid = runtime.state("watched")["pid"]
    state = {"ociVersion": "1.0.2", "id": "watched", "status": "creating", "pid": pid, "bundle": str(bundle.path),
             "annotations": {"org.example.key": "value"}}
    assert found() == {"ociVersion": "1.0.2", "fds": ["seccompFd"], "pid": pid, "metadata": "some", "state": state}


def test_listener_is_told_of_what_is_executed(runtime, bundle, folder, listener):
    path, told = listener
    bundle.config["annotations"] = {"org.example.key": "value"}
    bundle.config["linux"]["seccomp"] = section("SCMP_ACT_NOTIFY", ["mkdir"], listenerPath=str(path))
    found = in_background(told)
    runtime.start("watched", bundle.save("sleep", "1000"))
    first = found()
    found = in_background(told)
    runtime.ok("exec", "--detach", "--pid-file", folder / "pid", "watched", "sleep", "1000")
    second = found()
    assert second["pid"] == int((folder / "pid").read_text()) != first["pid"]
    assert second["state"]["status"] == "running" and second["state"]["pid"] == first["pid"] == runtime.state("watched")["pid"]
    assert second["ociVersion"] == second["state"]["ociVersion"] != "" and second["state"]["annotations"] == first["state"]["annotations"]


@pytest.mark.parametrize("turn", ["first", "again"])
def test_calls_that_are_not_known_are_told(runtime, bundle, turn):
    """Also by the next container, which could have the filter from before."""
    bundle.config["linux"]["seccomp"] = section("SCMP_ACT_ALLOW", ["no_such_call"], otherwise="SCMP_ACT_LOG")
    for _ in range(1 if turn == "first" else 2):
        done = runtime.run("run", "--bundle", bundle.save("true").path, "unknown")
    said = re.search(r'level=warning msg="(.*)"', done.err)
    assert done.code == 0 and said and said[1].replace("\\", "") == 'linux.seccomp.syscalls[0].names[0]: "no_such_call" is not known, ignoring', done


def test_filter_is_not_taken_from_another_section_by_its_name(runtime, bundle):
    """The name is a short hash, which whoever writes a configuration can choose: what lies there is compared."""
    def made(action) -> tuple:
        bundle.config["linux"]["seccomp"] = section(action, ["mkdir"], rule={"errnoRet": 1} if action == "SCMP_ACT_ERRNO" else {})
        before = set(kept.iterdir()) if kept.exists() else set()
        output = runtime.output("kept", bundle.shell("mkdir /tmp/made 2> /dev/null && echo made; busybox rmdir /tmp/made 2> /dev/null; true"))
        return output, set(kept.iterdir()) - before
    kept = runtime.root / ".seccomp"
    allowed, loose = made("SCMP_ACT_LOG")
    denied, strict = made("SCMP_ACT_ERRNO")
    assert allowed == "made\n" and denied == "" and len(loose) == len(strict) == 1
    (loose,), (strict,) = loose, strict
    strict.write_bytes(loose.read_bytes())
    assert made("SCMP_ACT_ERRNO") == ("", set())
    assert strict.read_bytes() != loose.read_bytes()
