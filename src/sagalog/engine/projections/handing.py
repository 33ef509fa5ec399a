"""Hands one event to the handlers of a projection. It opens no transaction, and decides nothing about failures."""

from typing import Any

from sagalog.engine.carrying import carrying
from sagalog.engine.projections.reading import Entry
from sagalog.engine.telling import tell
from sagalog.errors import DivergentHistory
from sagalog.projections.handlers import EventHandler
from sagalog.projections.tables import Tables
from sagalog.saga.happenings import is_of_step
from sagalog.saga.metadata import Metadata


def hand(entry: Entry, tables: Tables) -> int:
    """Call the handlers of an event, in the order in which they were declared; return the event's time.

    Raises whatever a handler raises, and `DivergentHistory` for an event that cannot be read.
    """
    if entry.envelope is not None:
        return _hand_message(entry, tables)
    if not entry.handlers:
        raise DivergentHistory(
            f"expected a message at position {entry.stored.position} of the log, found no JSON of one"
        )
    event, metadata = tell(entry.stored, entry.saga)
    step: str | None = getattr(event, "step", None)
    for handler in entry.handlers:
        if handler.saga is not None and handler.saga != metadata.saga:
            continue
        if handler.step is not None and not is_of_step(step, handler.step):
            continue
        _call(handler, event, metadata, tables)
    return metadata.time


def concerns(entry: Entry) -> bool:
    """Tell whether some handler of an event is for its saga; whether one is for its step is known once it is read."""
    saga = None if entry.saga is None else entry.saga.saga_name
    return any(handler.saga in (None, saga) for handler in entry.handlers)


def _hand_message(entry: Entry, tables: Tables) -> int:
    envelope = entry.envelope
    assert envelope is not None
    metadata = Metadata(
        id=envelope.id,
        position=entry.stored.position,
        time=envelope.time,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
    )
    for handler in entry.handlers:
        assert handler.payload is not None
        _call(handler, handler.payload.take(envelope.data), metadata, tables)
    return envelope.time


def _call(handler: EventHandler, event: Any, metadata: Metadata, tables: Tables) -> None:
    given: dict[str, Any] = {
        name: metadata if what == "metadata" else tables if what == "tables" else tables.connection
        for name, what in handler.given
    }
    # `sys.exit()` in a handler must neither end the thread that hands over, nor lose the events of a saga.
    answer: object = carrying(handler.function, event, **given)
    if answer is not None:
        raise TypeError(f"handler {handler.name}: expected nothing, found {type(answer).__name__} returned")
