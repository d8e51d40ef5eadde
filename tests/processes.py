"""What happens in other processes, waited for."""

import time


def wait_for(condition, seconds=60):
    """Return what a condition gives, once that is true of it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")
