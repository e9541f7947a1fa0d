#!/usr/bin/python3
"""Pulls over one connection a layer and over up to four, in turn, in one run; prints a table of medians.

    bench/connections.py [--rounds N] [--rate MB/s] [--limited]

Each has a daemon of its own (from build/release, or $CORTEN_BIN), on the same disk. The registries: one on loopback that
limits each connection to --rate, one whose connections share as much, and Debian's docker-registry without a limit, where
several have nothing to win and may cost nothing (--limited leaves that one out). What a pull brought is removed before the next.
"""
import argparse
import random
import statistics
import time

from bench import large_image
from images import peak_mib, reset_peak, ticks_of

from support import engines, images
from support.registry import FaultyRegistry, Limited, RealRegistry
from support.wait import eventually

CONTESTANTS = {"one": "1", "up to four": "4"}
MB = 1_000_000


class Contestant:
    def __init__(self, name):
        self.name = name
        self.daemon = engines.Daemon("bench-connections", extra=["--connections-per-layer", CONTESTANTS[name]]).start()
        self.client = self.daemon.client("corten")

    def pull(self, reference) -> dict:
        pid = self.daemon.process.pid
        reset_peak(pid)
        used, began = ticks_of(pid), time.perf_counter()
        self.client.ok("pull", reference, timeout=600)
        figures = {"wall": time.perf_counter() - began, "CPU": ticks_of(pid) - used, "peak": peak_mib(pid)}
        self.client.ok("rmi", reference, timeout=600)
        trash = self.daemon.data / "overlay" / "trash"
        eventually(lambda: not any(trash.iterdir()), "an empty trash", 120, pause=0.2)
        return figures


def random_image(count, size) -> images.Image:
    dice = random.Random(count)
    layers = [images.tar([images.Entry(f"layer{n}", data=dice.randbytes(size))]) for n in range(count)]
    return images.image(layers, compression="none")


def limited(registry, name, picture, rate, together=False) -> str:
    for layer in picture.layers:
        registry.faults[f"{name}/blobs/{layer.digest}"] = Limited(rate, together)
    return registry.put(name, "1", picture)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rate", type=int, default=8)
    options.add_argument("--limited", action="store_true")
    options = options.parse_args()
    slow, fast, contestants, seen = FaultyRegistry(), RealRegistry(), [], {}
    rate = options.rate * MB
    single, three = random_image(1, 160 * MB), random_image(3, 80 * MB)
    try:
        pulls = {f"160 MB in 1 layer, {options.rate} MB/s a connection": limited(slow, "single", single, rate),
                 f"240 MB in 3 layers, {options.rate} MB/s a connection": limited(slow, "three", three, rate),
                 f"160 MB in 1 layer, {2 * options.rate} MB/s for all": limited(slow, "shared", single, 2 * rate, True)}
        if not options.limited:
            pulls["400 MB gzip in 4 layers, no limit"] = fast.push("bench/large", "1", large_image())
            pulls["160 MB in 1 layer, no limit"] = fast.push("bench/single", "1", single)
        contestants = [Contestant(name) for name in CONTESTANTS]
        for turn in range(options.rounds):
            for what, reference in pulls.items():
                for contestant in contestants if turn % 2 == 0 else reversed(contestants):
                    seen.setdefault((what, contestant.name), []).append(contestant.pull(reference))
    finally:
        for contestant in contestants:
            contestant.daemon.stop()
        slow.stop()
        fast.stop()
    print("| pull | one: wall, CPU, peak | up to four |\n|---|---:|---:|")
    for what in pulls:
        one, four = ({key: statistics.median(figures[key] for figures in seen[what, name]) for key in ("wall", "CPU", "peak")}
                     for name in CONTESTANTS)
        cells = (f"{each['wall']:.2f} s, {each['CPU']:.2f} s, {each['peak']:.0f} MiB" for each in (one, four))
        print(f"| {what} | {' | '.join(cells)} ({four['wall'] / one['wall']:.2f}×) |")


if __name__ == "__main__":
    main()
