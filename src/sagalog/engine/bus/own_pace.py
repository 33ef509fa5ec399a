"""The pace of a consumer that is routed apart from the others: its batch size, pauses and failed tries. Pure.

A consumer in trouble is routed apart so that it delays no other. If a batch fails, its messages are routed one by one
to find the cause. Once all goes well, the consumer is routed with the others again.
"""

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.batch_size import BatchSize

PAUSES = Pauses(0.05, 2.0)
# After so many failed tries alone, a message is set aside, so that those behind it go on.
TRIES_BEFORE_ASIDE = 3
# If it cannot be set aside either, it is parked by its digest after so many.
TRIES_IN_ALL = 9


class OwnPace:
    """The pace of one consumer; times are those of the event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = BatchSize(most)
        self.backoff = Backoff(PAUSES)
        self.resumes_at = 0.0
        # Whether the last failure concerned the consumer as a whole; failing messages would be set aside instead.
        self.failed_itself = False
        # Up to this position messages are routed one by one.
        self.alone_upto = 0
        self._stands_before = 0
        self._tries = 0
        # How often the next message may fail before it is set aside; see `set_aside`.
        self._patience = TRIES_BEFORE_ASIDE

    @property
    def is_smooth(self) -> bool:
        """Tell whether the consumer may be routed with the others again."""
        return not self.backoff.has_begun and self.size.now == self._most

    def failed(self, now: float, rest: float = 0.0) -> float:
        """Record a failure; return for how many seconds the consumer pauses, at least `rest`."""
        pause = max(self.backoff.pause(), rest)
        self.resumes_at = now + pause
        return pause

    def failed_alone(self, position: int) -> int:
        """Record that the message after `position` failed alone; return how often it has."""
        if position != self._stands_before:
            self._stands_before, self._tries = position, 0
        self._tries += 1
        return self._tries

    def has_had_its_tries(self) -> bool:
        """Tell whether the message that failed last is to be set aside."""
        return self._tries >= self._patience

    def set_aside(self) -> None:
        """Record that a message was set aside; the next one that fails is set aside at its first failure.

        Where one message fails, many may.
        """
        self._patience = 1

    def passed(self) -> None:
        """Record that a batch was routed."""
        self.size.passed()
        self.backoff.reset()
        self.resumes_at = 0.0
