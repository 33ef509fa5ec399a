"""Python's own settings for a process that runs sagas and nothing else."""

import gc
import sys

# Seconds. The writer's thread waits so long for Python's global lock while the event loop decides, instead of 5 ms.
SWITCH_INTERVAL = 0.001


def tune() -> None:
    """Let threads wait less for each other, and keep the garbage collector from what was imported.

    The collector would look through all of it again and again, for some 30 ms each time, in which no saga goes on. Call
    it when everything is imported and built.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL)
