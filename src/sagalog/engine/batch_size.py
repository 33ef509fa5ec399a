"""How much is written or read at once: halved when it was too much, and then little by little more again. Pure."""

# In how many steps it grows back: a limit that is met each time would cost a failure each time.
STEPS = 32


class BatchSize:
    """A size between 1 and `largest`, in whatever is counted: bytes, rows."""

    def __init__(self, largest: int) -> None:
        self.now = largest
        self._largest = largest

    def too_large(self, tried: int) -> None:
        """Take half of what was tried in vain from now on."""
        self.now = max(1, min(self.now, tried) // 2)

    def passed(self) -> None:
        """Take a little more from now on, up to the largest."""
        if self.now < self._largest:
            self.now = min(self._largest, self.now + max(1, self._largest // STEPS))
