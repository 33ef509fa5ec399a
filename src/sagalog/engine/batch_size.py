"""How much is written or read at once: halved when it was too much, then increased again step by step. Pure."""

# It grows back in this many steps. If it grew faster, every new attempt at the limit would fail again.
STEPS = 32
# A small size grows by a quarter of itself at most. Otherwise the next failure would come at once.
QUARTERS = 4


class BatchSize:
    """A size between 1 and `largest`, in the unit of the caller: bytes or rows."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._exact = float(largest)

    @property
    def now(self) -> int:
        """Return the present size."""
        return int(self._exact)

    def too_large(self, tried: int) -> None:
        """From now on take half of the size that was too large."""
        self._exact = float(max(1, min(self.now, tried) // 2))

    def passed(self) -> None:
        """From now on take a little more, up to the largest size."""
        self._exact = min(self._largest, self._exact + min(self._largest / STEPS, self._exact / QUARTERS))
