"""Waiting for something to become true, with a deadline and never with a guess at how long."""
import time


def eventually(check, what="the condition", deadline=15.0, pause=0.05):
    """Calls `check` until it returns something true, and returns that.

    An AssertionError inside `check` counts as "not yet"; the last one is shown when time is up.
    """
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
