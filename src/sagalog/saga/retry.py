"""How often and how patiently an attempt is made again."""

from math import isfinite

from msgspec import Struct

SECOND = 1_000_000


class Retry(Struct, frozen=True, kw_only=True):
    """Declare a retry policy: how many attempts there are and how long to wait between them.

    At most `attempts` attempts, waiting `delay` seconds after the first one, then `factor` times longer each time,
    never over `max_delay` seconds, each wait spread by up to `jitter` of itself.

    Raises `ValueError` for numbers that make no policy.
    """

    attempts: int = 3
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"Retry(attempts=...) must be at least 1, found {self.attempts}")
        finite = all(isfinite(number) for number in (self.delay, self.max_delay, self.factor))
        if not finite or self.delay < 0 or self.max_delay < 0 or self.factor < 1:
            raise ValueError("Retry needs finite numbers: delay >= 0 and max_delay >= 0 (seconds), factor >= 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Retry(jitter=...) is a share between 0 and 1, found {self.jitter}")

    def pause(self, attempt: int, jitter: float) -> int:
        """Return the microseconds to wait after `attempt` (from 1); `jitter` is a random number in [0, 1)."""
        try:
            seconds = min(self.max_delay, self.delay * self.factor ** (attempt - 1))
        except OverflowError:
            seconds = self.max_delay
        return int(seconds * (1 + self.jitter * (2 * jitter - 1)) * SECOND)


ACTION_RETRY = Retry()
COMPENSATION_RETRY = Retry(attempts=10)
