"""Exported histories of random walks, and what can happen to such a file: cut, mixed up, changed."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

from kernel.walks import walked

from sagalog.cli.exporting import export_line
from sagalog.codec import CODEC
from sagalog.saga.events import EVENTS, SagaEvent
from sagalog.store import StoredEvent

Lines = list[bytes]
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 10**30, 1.5, "", "x", "b", "b[0]", "b[99]", "\ud800", "\x1b[31m\u202e"),
    *([], {}, [1], ["b"]),
)


def stored(events: Sequence[SagaEvent], saga_id: str = "saga", first: int = 1) -> list[StoredEvent]:
    """Return events as a store gives them."""
    return [
        StoredEvent(first + number, saga_id, number + 1, *CODEC.encode(event)) for number, event in enumerate(events)
    ]


def exported(events: Sequence[SagaEvent], saga_id: str = "saga", first: int = 1) -> Lines:
    """Return a history as lines of an export."""
    return [export_line(one) for one in stored(events, saga_id, first)]


def walked_export(seed: int) -> Lines:
    """Return the export of a random walk."""
    return exported(walked(seed).events)


def damaged(seeded: random.Random, lines: Lines) -> Lines:
    """Return the lines with one thing wrong; by chance it may be nothing."""
    if not lines:
        return [b"\xff\n"]
    return seeded.choice(_DAMAGES)(seeded, list(lines), seeded.randrange(len(lines)))


def _lost(_: random.Random, lines: Lines, at: int) -> Lines:
    del lines[at]
    return lines


def _twice(_: random.Random, lines: Lines, at: int) -> Lines:
    return [*lines[: at + 1], *lines[at:]]


def _swapped(seeded: random.Random, lines: Lines, at: int) -> Lines:
    other = seeded.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]
    return lines


def _cut(seeded: random.Random, lines: Lines, at: int) -> Lines:
    lines[at] = lines[at][: seeded.randrange(len(lines[at]) + 1)]
    return lines


def _a_byte(seeded: random.Random, lines: Lines, at: int) -> Lines:
    line = bytearray(lines[at] or b"x")
    line[seeded.randrange(len(line))] = seeded.randrange(256)
    lines[at] = bytes(line)
    return lines


def _of_another(seeded: random.Random, lines: Lines, at: int) -> Lines:
    others = walked_export(seeded.randrange(400))
    lines[at] = others[min(at, len(others) - 1)]
    return lines


def _a_value(seeded: random.Random, lines: Lines, at: int) -> Lines:
    return _changed(lines, at, lambda line: _put(seeded, line if seeded.random() < 0.2 else line["data"]))


def _a_topic(seeded: random.Random, lines: Lines, at: int) -> Lines:
    topics = [*(event.TOPIC for event in EVENTS), "os.system", ""]
    return _changed(lines, at, lambda line: line.update(topic=seeded.choice(topics)))


def _changed(lines: Lines, at: int, change: Callable[[dict[str, Any]], None]) -> Lines:
    try:
        line = json.loads(lines[at])
        change(line)
    except (ValueError, TypeError, KeyError):
        # It is damaged already.
        return lines
    lines[at] = json.dumps(line).encode() + b"\n"
    return lines


def _put(seeded: random.Random, where: dict[str, Any]) -> None:
    """Put something odd in the place of a value, or of one inside of it."""
    while inner := [cast("dict[str, Any]", value) for value in where.values() if isinstance(value, dict)]:
        if seeded.random() < 0.6:
            break
        where = seeded.choice(inner)
    if where:
        name = seeded.choice(sorted(where))
        where[name] = seeded.choice(ODD)
        if seeded.random() < 0.2:
            del where[name]


_DAMAGES = (_lost, _twice, _swapped, _cut, _a_byte, _of_another, _a_value, _a_value, _a_value, _a_topic)
