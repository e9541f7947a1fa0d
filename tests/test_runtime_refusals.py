"""Sections of a configuration that corten-runtime does not carry out: refused by name and not passed over."""
import os

import pytest

from support.bundles import message

pytestmark = pytest.mark.corten_only


@pytest.mark.parametrize("section", [{}, {"closID": "guaranteed", "l3CacheSchema": "L3:0=f"}])
def test_intel_rdt_is_refused_for_what_the_host_has(runtime, bundle, section):
    bundle.config["linux"]["intelRdt"] = section
    done = runtime.run("run", "--bundle", bundle.save("true").path, "cached")
    assert done.code == 1 and "linux.intelRdt: " in message(done)
    assert ("are not built" if os.path.exists("/sys/fs/resctrl/info") else "this host has no resctrl") in message(done)


def test_interfaces_of_the_host_are_not_moved(runtime, bundle):
    bundle.config["linux"]["netDevices"] = {"corten-t-none": {"name": "eth0"}}
    done = runtime.run("run", "--bundle", bundle.save("true").path, "moved")
    assert done.code == 1 and "linux.netDevices: " in message(done) and "corten-t-none" in message(done)
