"""Exported histories: one event a line as JSON, written and read without changing any value of an event."""

from collections.abc import Iterator
from typing import IO

import msgspec
from msgspec import Raw, Struct

from sagalog.cli.encoding import MARK, checked
from sagalog.cli.failures import AppError
from sagalog.codec import CODEC, encode_json
from sagalog.harmless import harmless_json
from sagalog.saga.events import SagaEvent
from sagalog.store import StoredEvent


class ExportedEvent(Struct, frozen=True):
    """One line: an event's place in the log, and its JSON."""

    position: int
    saga_id: str
    version: int
    topic: str
    data: Raw


_decode = msgspec.json.Decoder(ExportedEvent).decode


def export_line(stored: StoredEvent) -> bytes:
    """Return one event as a line that is safe to show, because a pipe may end at a terminal."""
    exported = ExportedEvent(stored.position, stored.saga_id, stored.version, stored.topic, Raw(stored.state))
    return harmless_json(encode_json(exported).decode()).encode() + b"\n"


def read_export(source: IO[bytes], name: str) -> Iterator[tuple[str, SagaEvent]]:
    """Yield (saga id, event) from an exported file; raises `AppError` with the line's number for an invalid line.

    Raises `InvalidInput` for a file that is not in UTF-8.
    """
    versions: dict[str, int] = {}
    for number, written in enumerate(source, 1):
        line = checked(written, name) if number == 1 else written.removeprefix(MARK)
        if not line.strip():
            continue
        try:
            exported = _decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            raise AppError(f"{name} line {number}: expected an event of `sagalog export`: {problem}") from None
        expected = versions.get(exported.saga_id, 0) + 1
        if exported.version != expected:
            raise AppError(
                f"{name} line {number}: expected version {expected} of saga {exported.saga_id}, found "
                f"{exported.version}; the file is not complete, export it again"
            )
        versions[exported.saga_id] = expected
        yield exported.saga_id, CODEC.decode(exported.topic, bytes(exported.data))
