"""Waiting for something to become true, with a deadline and never with a guess at how long."""
import os
import time

# How many times slower than usual this machine is (an emulated one): deadlines are that much longer.
SLOWNESS = float(os.environ.get("CORTEN_TEST_SLOWNESS", "1"))


def eventually(check, what="the condition", deadline=15.0, pause=0.05):
    """Calls `check` until it returns something true, and returns that.

    An AssertionError inside `check` counts as "not yet"; the last one is shown when time is up.
    """
    deadline *= SLOWNESS
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = check()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {deadline:g} s; last: {last!r}")
        time.sleep(pause)
