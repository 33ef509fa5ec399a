"""The numbers that the engine's loops go by."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Durations in microseconds, and counts; see `sagalog.settings` for what each is for."""

    lease: int = 10_000_000
    poll: int = 100_000
    follow_poll: int = 50_000
    longest_wait: int = 30_000_000
    most_running: int = 10_000
    claim_batch: int = 200
    most_handling: int = 100
    from_now: bool = False
