"""Large layers from registries that limit each connection: several at a time, every byte once, and one where that is all there is."""
import os
import threading
from pathlib import Path

import pytest
from support import images, registry as registries
from support.wait import eventually

pytestmark = pytest.mark.corten_only
MIB = 1 << 20


def large_image(box_tar, size=48 * MIB, count=1):
    layers = [images.tar([images.Entry(f"random{n}", data=os.urandom(size))]) for n in range(count)]
    return images.image([box_tar, *layers], compression="none")


def limited(faulty, picture, name, limit, n=-1):
    """A reference to the image whose last layer comes as `limit` has it."""
    faulty.faults[picture.layers[n].digest] = limit
    return faulty.put(name, "1", picture)


def kept_bytes(daemon, layer) -> int:
    return sum(f.stat().st_size for f in (daemon.data / "ingest").glob(layer.digest.removeprefix("sha256:") + "*"))


def covers_once(limit, size):
    parts = limit.parts()
    assert all(one["end"] == other["first"] for one, other in zip(parts, parts[1:]))
    assert parts[-1]["end"] == size


def most_at_a_time(answers):
    moments = [(a["begun"], 1) for a in answers] + [(a["ended"], -1) for a in answers]
    now = most = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


@pytest.fixture
def picture(box_tar):
    return large_image(box_tar)


def test_a_slow_large_layer_comes_over_four_connections(corten, faulty, picture):
    limit = registries.Limited(6 * MIB)
    corten.ok("pull", limited(faulty, picture, "slow", limit), timeout=120)
    parts = limit.parts()
    covers_once(limit, len(picture.layers[-1].data))
    assert most_at_a_time(parts) <= 4
    busy = sum(a["ended"] - a["begun"] for a in parts)
    took = max(a["ended"] for a in parts) - min(a["begun"] for a in parts)
    assert busy / took >= 2.5, f"{len(parts)} parts, {busy / took:.1f} at a time"
    assert sum(not a["part"] for a in limit.answers) == 1


def test_a_layer_is_fetched_by_one_where_it_comes_fast(corten, faulty, box_tar):
    picture = large_image(box_tar, 64 * MIB)
    limit = registries.Limited(1 << 40)
    corten.ok("pull", limited(faulty, picture, "fast", limit), timeout=120)
    assert [a["first"] for a in limit.answers] == [0]


def test_several_that_are_no_faster_are_given_up(corten, faulty, box_tar):
    picture = large_image(box_tar, 60 * MIB)
    limit = registries.Limited(6 * MIB, together=True)
    corten.ok("pull", limited(faulty, picture, "shared", limit), timeout=120)
    last = limit.answers[-1]
    assert not last["part"] and last["first"] == limit.parts()[-1]["end"], "the rest was not left to one connection"


def resets_the_second(handler, answer, send):
    if answer["number"] != 1:
        return send()
    send(100_000)
    registries.hang_up(handler, reset=True)


def sends_the_whole_instead(handler, answer, send):
    registries.head_only(handler, "application/octet-stream", 1 << 30, 200, {})
    handler.close_connection = True


def allows_two(handler, answer, send):
    if answer["number"] == 2:
        return registries.reply(handler, b"{}", "application/json", status=429, headers={"Retry-After": "1"})
    send()


@pytest.mark.parametrize("fault", [resets_the_second, sends_the_whole_instead, allows_two])
def test_a_registry_that_is_not_up_to_it(corten, engine, faulty, picture, fault):
    limit = registries.Limited(10 * MIB, fault=fault)
    reference = limited(faulty, picture, "unfit", limit)
    corten.ok("pull", reference, timeout=120)
    assert limit.parts(), "one connection was all there ever was"
    sent = {(a["first"], a["end"]) for a in limit.parts()}
    if fault is resets_the_second:
        cut = next(a for a in limit.parts() if a["number"] == 1)
        assert any(cut["first"] < first < end == cut["end"] for first, end in sent), "the lost half was not asked for alone"
    if fault is allows_two:
        after = [a for a in limit.parts() if a["number"] > 2]
        assert most_at_a_time(after) <= 3
    if fault is sends_the_whole_instead:
        assert [a["first"] for a in limit.answers if not a["part"]] == [0], "what had come was asked for again"


def holds_from(number, gate):
    """That part and those asked for after it do not come."""
    def fault(handler, answer, send):
        if answer["number"] < number:
            return send()
        gate.wait(60)
        handler.close_connection = True
    return fault


def test_a_killed_daemon_keeps_what_came_in_order(daemon, faulty, picture):
    gate = threading.Event()
    limit = registries.Limited(6 * MIB, fault=holds_from(3, gate))
    reference = limited(faulty, picture, "killed", limit)
    pulling = daemon.client("corten").popen("pull", reference)
    # The first three parts follow on what the one connection brings.
    eventually(lambda: len(limit.parts()) > 3, "four parts that were asked for", 60)
    came = limit.parts()[2]["end"]
    eventually(lambda: kept_bytes(daemon, picture.layers[-1]) == came, "three parts on the disk", 60)
    daemon.kill()
    gate.set()
    pulling.wait(20)
    before = len(limit.answers)
    limit.fault = None
    daemon.start()
    daemon.client("corten").ok("pull", reference, timeout=120)
    assert limit.answers[before]["first"] == came, "what had come was fetched again"
    assert daemon.client("corten").ok("run", "--rm", reference, "stat", "-c", "%s", "/random0") == str(48 * MIB)


def test_three_at_once_stay_within_the_memory_of_a_pull(daemon, faulty, box_tar):
    picture = large_image(box_tar, count=3)
    limits = [registries.Limited(4 * MIB) for _ in range(3)]
    for n, limit in enumerate(limits):
        reference = limited(faulty, picture, "memory", limit, n + 1)
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")
    daemon.client("corten").ok("pull", reference, timeout=120)
    peak = int(Path(f"/proc/{daemon.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    assert peak < 64, f"{peak:.0f} MiB"
    together = [a for limit in limits for a in limit.parts()]
    assert most_at_a_time(together) <= 8
    several = [(limit, layer) for limit, layer in zip(limits, picture.layers[1:]) if limit.parts()]
    assert len(several) >= 2, "the connections that there may be are not shared out"
    for limit, layer in several:
        covers_once(limit, len(layer.data))
