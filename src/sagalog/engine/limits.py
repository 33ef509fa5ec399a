"""The settings of the engine's loops."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Durations in microseconds, and counts; `sagalog.settings` describes each."""

    lease: int = 10_000_000
    poll: int = 100_000
    follow_poll: int = 50_000
    longest_wait: int = 30_000_000
    most_running: int = 10_000
    claim_batch: int = 200
    most_handling: int = 100
    lag_alarm: int = 60_000_000
    from_now: bool = False
