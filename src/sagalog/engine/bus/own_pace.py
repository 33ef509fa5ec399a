"""The pace of a consumer in trouble, which does not go along with the others: how much it reads, and when. Pure.

The message that keeps a batch from being written is found by routing its messages one by one. A consumer in trouble
holds up no other, and goes along with them again when it is over.
"""

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.batch_size import BatchSize

PAUSES = Pauses(0.05, 2.0)
# How often a message that cannot be routed is tried alone before it is set aside, so that those behind it go on; and
# how often, if it cannot be set aside either, before it is parked by its digest.
TRIES_BEFORE_ASIDE = 3
TRIES_IN_ALL = 9


class OwnPace:
    """The pace of one consumer; times are those of the event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = BatchSize(most)
        self.backoff = Backoff(PAUSES)
        self.resumes_at = 0.0
        # Whether what failed last is of the consumer, and not of messages, which are set aside after some tries.
        self.failed_itself = False
        # Up to this position messages are routed one by one.
        self.alone_upto = 0
        self._stands_before = 0
        self._tries = 0
        # How often in a row the next message has to fail: where one is in trouble, many may be.
        self._patience = TRIES_BEFORE_ASIDE

    @property
    def is_smooth(self) -> bool:
        """Tell whether the consumer may go along with others again."""
        return not self.backoff.has_begun and self.size.now == self._most

    def failed(self, now: float, rest: float = 0.0) -> float:
        """Count a failure; return for how many seconds the consumer pauses, `rest` at least."""
        pause = max(self.backoff.pause(), rest)
        self.resumes_at = now + pause
        return pause

    def failed_alone(self, position: int) -> int:
        """Count a failure of the one message behind `position`; return how often it has failed."""
        if position != self._stands_before:
            self._stands_before, self._tries = position, 0
        self._tries += 1
        return self._tries

    def has_had_its_tries(self) -> bool:
        """Tell whether the message that failed last is to be set aside."""
        return self._tries >= self._patience

    def set_aside(self) -> None:
        """Note that a message was set aside; the next one that fails is then set aside at once."""
        self._patience = 1

    def passed(self) -> None:
        """Note that a batch was routed."""
        self.size.passed()
        self.backoff.reset()
        self.resumes_at = 0.0
