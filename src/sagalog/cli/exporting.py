"""Exported histories: one event a line as JSON, written and read without changing any value of an event."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sagalog.cli.encoding import MARK, NO_UTF8, checked
from sagalog.cli.failures import AppError
from sagalog.codec import CODEC, encode_json
from sagalog.errors import DivergentHistory, UnknownTopic
from sagalog.harmless import harmless_json
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import evolve
from sagalog.saga.state import SagaState
from sagalog.store import StoredEvent

Exported = dict[str, list[SagaEvent]]
"""The events of each saga, by its id."""
AGAIN: Final = "the file is damaged; export it again"


class BrokenExport(AppError):
    """Raised for a file that is not a whole export; the text names the file and the line."""


class ExportedEvent(Struct, frozen=True):
    """One line: an event's place in the log, and its JSON."""

    position: int
    saga_id: str
    version: int
    topic: str
    data: Raw


_decode = msgspec.json.Decoder(ExportedEvent).decode
_is_json = msgspec.json.Decoder().decode


def export_line(stored: StoredEvent) -> bytes:
    """Return one event as a line that is safe to show, because a pipe may end at a terminal."""
    exported = ExportedEvent(stored.position, stored.saga_id, stored.version, stored.topic, Raw(stored.state))
    return harmless_json(encode_json(exported).decode()).encode() + b"\n"


class _Stream:
    """What was read of one saga: its events, the state after them, and the position of the last one."""

    def __init__(self) -> None:
        self.events: list[SagaEvent] = []
        self.state: SagaState | None = None
        self.position = 0

    def add(self, exported: ExportedEvent) -> None:
        """Take the next event; raises `DivergentHistory` if it cannot be the next one."""
        expected = len(self.events) + 1
        if exported.version != expected:
            twice = "it is there twice" if exported.version < expected else "the file is not complete"
            raise DivergentHistory(
                f"expected version {expected} of saga {exported.saga_id}, found {exported.version}; "
                f"{twice}, export it again"
            )
        if exported.position <= self.position:
            raise DivergentHistory(
                f"expected a position above {self.position} for the next event of saga {exported.saga_id}, found "
                f"{exported.position}; {AGAIN}"
            )
        event = CODEC.decode(exported.topic, bytes(exported.data))
        # The state is computed here, so that the error names the line of an event that cannot follow.
        self.state = evolve(self.state, event)
        self.events.append(event)
        self.position = exported.position


def read_export(source: Iterable[bytes], name: str) -> Exported:
    """Return the histories of an exported file; the lines of several sagas may alternate.

    Raises `BrokenExport` with the file's name and the line's number for a line that is wrong, `InvalidInput` for a
    file in another encoding than UTF-8.
    """
    streams: dict[str, _Stream] = {}
    for number, written in enumerate(source, 1):
        line = checked(written, name) if number == 1 else written.removeprefix(MARK)
        if not line.strip():
            continue
        try:
            exported = _exported(line)
            streams.setdefault(exported.saga_id, _Stream()).add(exported)
        except DivergentHistory as problem:
            advice = "" if isinstance(problem, UnknownTopic) or "export it again" in str(problem) else f"; {AGAIN}"
            raise BrokenExport(f"{name} line {number}: {problem}{advice}") from None
    return {saga_id: stream.events for saga_id, stream in streams.items()}


def _exported(line: bytes) -> ExportedEvent:
    """Return what a line holds; raises `DivergentHistory` if it is no event."""
    try:
        line.decode()
    except UnicodeDecodeError:
        raise DivergentHistory(NO_UTF8) from None
    try:
        # `data` is kept as it is written, so nothing else has read what is inside.
        _is_json(line)
        return _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise DivergentHistory(f"expected an event of `sagalog export`: {problem}; {AGAIN}") from None
