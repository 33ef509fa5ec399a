"""The port for time, randomness and new ids; nothing else in the library reads a clock or draws a number."""

import random
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """A source of the time and of random numbers."""

    def now(self) -> int:
        """Return the time in microseconds since the epoch."""
        ...

    def chance(self) -> float:
        """Return a random number in [0, 1)."""
        ...

    def token(self) -> int:
        """Return 62 random bits, which make an id unique."""
        ...


class SystemClock:
    """The time and randomness of this machine; it honours freezegun, because users freeze time in their own tests."""

    def now(self) -> int:
        """Return the time in microseconds since the epoch."""
        return time.time_ns() // 1000

    def chance(self) -> float:
        """Return a random number in [0, 1)."""
        return random.random()

    def token(self) -> int:
        """Return 62 random bits."""
        return secrets.randbits(62)


def new_id(clock: Clock) -> str:
    """Return a UUID of version 7 (RFC 9562), ordered by time, so that the newest rows lie together in every index.

    The 12 bits after the milliseconds hold the rest of the microseconds (method 3 of the RFC). So the ids of one
    process are in the order of their creation, as far as its clock can tell them apart.
    """
    milliseconds, rest = divmod(clock.now(), 1000)
    number = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (rest << 12) // 1000 << 64
    number |= 0b10 << 62 | clock.token()
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
