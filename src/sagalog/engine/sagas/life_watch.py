"""Which leases are over because the workers' signs of life are gone. It asks and writes nothing.

A sign may come back: whoever lost only a connection takes another lock, and whoever has just begun again after an
outage may not have had the time to. So it has to be gone in several looks in a row, and the lease unchanged.
"""

from collections.abc import Sequence

from sagalog.store import HeldLease

# In so many looks, and over so many polls, a sign has to be gone.
LOOKS = 3
POLLS = 2.5
# After so many polls, and so many seconds, without a look the others may have been stopped together with us.
LONGEST_PAUSE_POLLS = 4
LONGEST_PAUSE = 1.0


class LifeWatch:
    """Remembers who showed no sign of life in the last looks; `poll` is in seconds."""

    def __init__(self, poll: float) -> None:
        self._least = POLLS * poll
        self._longest_pause = max(LONGEST_PAUSE, LONGEST_PAUSE_POLLS * poll)
        self._looked = 0.0
        # The lease of each worker without a sign, since when, and in how many looks.
        self._silent: dict[str, tuple[HeldLease, float, int]] = {}
        # Whether somebody is silent no longer since the last look: perhaps another worker has ended the lease.
        self.has_news = False

    def over(self, silent: Sequence[HeldLease], asked: float) -> list[HeldLease]:
        """Return which of these leases are over, given who is silent by a look that was asked for at a time."""
        if asked - self._looked > self._longest_pause:
            self._silent.clear()
        self._looked = asked
        before, self._silent = self._silent, {}
        over: list[HeldLease] = []
        for lease in silent:
            known, since, looks = before.get(lease.worker_id, (None, asked, 0))
            if known != lease:
                since, looks = asked, 0
            self._silent[lease.worker_id] = (lease, since, looks + 1)
            if looks + 1 >= LOOKS and asked - since >= self._least - 1e-9:
                over.append(lease)
        self.has_news = bool(before.keys() - self._silent.keys())
        return over
