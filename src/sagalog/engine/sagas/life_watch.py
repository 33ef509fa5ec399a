"""Which leases are over because the workers' signs of life are gone. It asks and writes nothing.

A sign may come back: whoever lost only a connection takes another lock, and whoever has just begun again after an
outage may not have had the time to. So it has to be gone in several looks in a row, and the lease unchanged; unless it
is sure that the process is gone. Whoever has lost its own sign meanwhile counts anew: others may have lost theirs.
"""

import os
import socket
from collections.abc import Callable, Sequence

from sagalog.harmless import harmless
from sagalog.store import HeldLease, SilentWorker

# In so many looks, and over so many polls, a sign has to be gone.
LOOKS = 3
POLLS = 2.0
# After so many polls, and so many seconds, without a look the others may have been stopped together with us.
LONGEST_PAUSE_POLLS = 4
LONGEST_PAUSE = 1.0
# Of the host's name, as a lease has it.
LONGEST_HOST = 255


def this_host() -> str:
    """Return the name of this machine as a lease has it; it may contain any bytes."""
    return harmless(socket.gethostname(), LONGEST_HOST)


def is_gone(host: str, pid: int) -> bool:
    """Tell whether this process was of this machine and is not there any more.

    Containers may have one name for their machine, and number their processes each for itself. So this decides only
    how long to wait when a sign of life is gone.
    """
    if os.name != "posix" or host != this_host() or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        # It is there, and another user's.
        return False
    return False


class LifeWatch:
    """Remembers who showed no sign of life in the last looks; `poll` is in seconds."""

    def __init__(self, poll: float, is_gone: Callable[[str, int], bool]) -> None:
        self._least = POLLS * poll
        self._is_gone = is_gone
        self._longest_pause = max(LONGEST_PAUSE, LONGEST_PAUSE_POLLS * poll)
        self._looked = self._shown_since = 0.0
        # The lease of each worker without a sign, since when, and in how many looks.
        self._silent: dict[str, tuple[HeldLease, float, int]] = {}
        # Whether somebody is silent no longer since the last look: perhaps another worker has ended the lease.
        self.has_news = False

    def over(
        self, silent: Sequence[SilentWorker], asked: float, answered: float, shown_since: float = 0.0
    ) -> list[HeldLease]:
        """Return which of these leases are over, given who is silent by a look, and since when we show life ourselves.

        The time without a sign is counted from the answer to the first look to the question of the last one.
        """
        if asked - self._looked > self._longest_pause or shown_since > self._shown_since:
            self._silent.clear()
        self._looked, self._shown_since = asked, shown_since
        before, self._silent = self._silent, {}
        over: list[HeldLease] = []
        for one in silent:
            lease = one.lease
            known, since, looks = before.get(lease.worker_id, (lease, answered, 0))
            if known != lease:
                since, looks = answered, 0
            self._silent[lease.worker_id] = (lease, since, looks + 1)
            is_long = looks + 1 >= LOOKS and asked - since >= self._least - 1e-9
            if is_long or one.is_sure or self._is_gone(one.host, one.pid):
                over.append(lease)
        self.has_news = bool(before.keys() - self._silent.keys())
        return over
