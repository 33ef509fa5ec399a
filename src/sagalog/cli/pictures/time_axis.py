"""A time axis that stays readable when a saga waits a week between attempts of ten milliseconds; pure.

Spans in which nothing begins or ends, and which are far longer than all shorter ones together, are drawn at one short
length: the axis is broken there. Everything between the breaks has nearly one scale.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from sagalog.cli.quantities import duration
from sagalog.store.quantities import SECOND

# A span is left out if it is so many times as long as all shorter ones together.
FAR_LONGER: Final = 6
_SHARE_OF_BREAKS: Final = 0.5
_SHARE_OF_LEAST: Final = 0.35
_NICE: Final = (
    *(factor * power for power in (1, 10, 100, 1_000, 10_000, 100_000, SECOND, 10 * SECOND) for factor in (1, 2, 5)),
    *(60 * SECOND * n for n in (1, 2, 5, 10, 20, 30)),
    *(3_600 * SECOND * n for n in (1, 2, 4, 6, 12)),
    *(86_400 * SECOND * n for n in (1, 2, 7, 14, 28, 91, 182, 365, 3_650, 36_500)),
)


class Piece(NamedTuple):
    """A span of time, and where it is drawn; `is_break`: it is drawn shorter than its scale says."""

    start: int
    end: int
    left: float
    right: float
    is_break: bool


def tick_label(microseconds: int) -> str:
    """Return a time since the start as a short label: `20 s`, not `20.0 s`."""
    return duration(microseconds).replace(".0 s", " s").replace(" m 00 s", " m")


class TimeAxis:
    """Where times are drawn, from 0 to `width`; `lengths` are the durations that have to stay readable.

    Spans that would hardly be seen are drawn `least` long, if there is room for that, so that what came after the
    other is seen to have done so.
    """

    def __init__(
        self, times: Sequence[int], lengths: Sequence[int], width: float, break_width: float, least: float
    ) -> None:
        points = sorted(set(times))
        self.start, self.end = points[0], points[-1]
        self.width = width
        spans = list(pairwise(points))
        left_out = _least_left_out([end - start for start, end in spans], lengths)
        is_break = [left_out is not None and end - start >= left_out for start, end in spans]
        breaks = min(break_width, _SHARE_OF_BREAKS * width / sum(is_break)) if any(is_break) else 0.0
        drawn = [end - start for (start, end), left in zip(spans, is_break, strict=True) if not left]
        least = min(least, _SHARE_OF_LEAST * width / len(drawn)) if drawn else 0.0
        scale = (width - sum(is_break) * breaks - len(drawn) * least) / sum(drawn) if drawn else 0.0
        self.pieces: list[Piece] = []
        left = 0.0
        for (start, end), is_left_out in zip(spans, is_break, strict=True):
            right = left + (breaks if is_left_out else least + (end - start) * scale)
            self.pieces.append(Piece(start, end, left, right, is_left_out))
            left = right
        self._starts = [piece.start for piece in self.pieces]

    def place(self, time: int) -> float:
        """Return where a time is drawn."""
        if not self.pieces:
            return 0.0
        piece = self.pieces[max(0, bisect_right(self._starts, time) - 1)]
        share = (min(time, piece.end) - piece.start) / (piece.end - piece.start)
        return piece.left + share * (piece.right - piece.left)

    @property
    def breaks(self) -> list[Piece]:
        """Return the pieces that are drawn shorter than they are."""
        return [piece for piece in self.pieces if piece.is_break]

    def ticks(self, most: int) -> Iterator[tuple[float, int]]:
        """Yield (place, microseconds since the start) for the labels: ends, both sides of breaks, and round times."""
        yield 0.0, 0
        if not self.pieces:
            return
        yield self.width, self.end - self.start
        for before, piece in pairwise(self.pieces):
            if before.is_break:
                yield piece.left, piece.start - self.start
        whole = [piece for piece in self.pieces if not piece.is_break]
        drawn = sum(piece.end - piece.start for piece in whole)
        # Times of a damaged log may be millions of years apart.
        step = next((nice for nice in _NICE if nice * most >= drawn), drawn)
        for piece in whole:
            # After a break the offset is too long to be read to the millisecond.
            if piece.start - self.start < FAR_LONGER * drawn:
                first = -(-(piece.start - self.start) // step) * step
                for since in range(first, piece.end - self.start + 1, step):
                    yield self.place(self.start + since), since


def _least_left_out(spans: Sequence[int], lengths: Sequence[int]) -> int | None:
    """Return the length of the shortest span that is left out; None if none is.

    What stays has to hold at least half of what is to be readable: a few microseconds between two events are no scale.
    """
    readable = lengths or spans
    shorter = 0
    for span in sorted(spans):
        is_far_longer = shorter and span > FAR_LONGER * shorter
        if is_far_longer and 2 * sum(length <= shorter for length in readable) >= len(readable):
            return span
        shorter += span
    return None
