"""Which messages the log holds, computed from it: what `saga_messages` has to say. Nothing is sent, nothing decided."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from sagalog.codec import CODEC
from sagalog.errors import DivergentHistory
from sagalog.messages import Envelope
from sagalog.readmodel.rows import sent_messages
from sagalog.saga.events import RequestSent
from sagalog.saga.evolve import fold
from sagalog.store import Store, StoredEvent
from sagalog.stores.published import PUBLISHED, is_message_stream

_envelope = msgspec.json.Decoder(Envelope)


class Indexed(Struct, frozen=True):
    """The messages at positions above `after`, up to `upto`."""

    after: int
    upto: int
    messages: list[tuple[int, Envelope]]


def indexed_pages(store: Store, size: int) -> Iterator[Indexed]:
    """Yield the messages of the whole log, `size` events at a time; raises `DivergentHistory` if one is none."""
    after = 0
    while page := store.read_log(after, size):
        asking = {event.saga_id for event in page if event.topic == RequestSent.TOPIC}
        upto = page[-1].position
        yield Indexed(after, upto, messages_among(page, store.read_many(sorted(asking))))
        after = upto


def messages_among(
    page: Sequence[StoredEvent], streams: Mapping[str, Sequence[StoredEvent]]
) -> list[tuple[int, Envelope]]:
    """Return the messages among some events of the log; `streams` are the whole streams of the sagas that sent any."""
    found: dict[int, Envelope] = {}
    for saga_id, stream in streams.items():
        events = CODEC.decode_all((event.topic, event.state) for event in stream)
        for index, envelope in sent_messages(saga_id, fold(events), events):
            found[stream[index].position] = envelope
    for event in page:
        if event.topic == PUBLISHED and is_message_stream(event.saga_id):
            found[event.position] = _decoded(event)
    positions = {event.position for event in page}
    return [(position, found[position]) for position in sorted(positions & found.keys())]


def _decoded(event: StoredEvent) -> Envelope:
    try:
        return _envelope.decode(event.state)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise DivergentHistory(
            f"expected a message at position {event.position} of the log, found something else: {problem}"
        ) from None
