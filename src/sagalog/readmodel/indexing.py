"""Computes from the log which messages it holds, for the table `saga_messages`. Nothing is sent, nothing decided.

Events that cannot be read, for instance after a change by hand, are reported, and the rest is still read.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from sagalog.codec import CODEC
from sagalog.messages import Envelope
from sagalog.readmodel.rows import sent_messages
from sagalog.saga.events import RequestSent
from sagalog.saga.evolve import fold
from sagalog.saga.failure import described
from sagalog.store import Store, StoredEvent
from sagalog.store.published import PUBLISHED, is_message_stream

_envelope = msgspec.json.Decoder(Envelope)


class Indexed(Struct, frozen=True):
    """The messages at positions above `after`, up to `upto`; `damaged` gives reasons for positions without a result."""

    after: int
    upto: int
    messages: list[tuple[int, Envelope]]
    damaged: Mapping[int, str] = {}


def indexed_pages(store: Store, size: int) -> Iterator[Indexed]:
    """Yield the messages of the whole log, `size` events at a time."""
    after = 0
    while page := store.read_log(after, size):
        asking = {event.saga_id for event in page if event.topic == RequestSent.TOPIC}
        upto = page[-1].position
        found, damaged = messages_among(page, store.read_many(sorted(asking)))
        yield Indexed(after, upto, found, damaged)
        after = upto


def messages_among(
    page: Sequence[StoredEvent], streams: Mapping[str, Sequence[StoredEvent]]
) -> tuple[list[tuple[int, Envelope]], dict[int, str]]:
    """Return the messages among some events of the log, and the reasons by position for those that cannot be read.

    `streams` are the complete streams of the sagas that sent any of them.
    """
    found: dict[int, Envelope] = {}
    damaged: dict[int, str] = {}
    for saga_id, stream in streams.items():
        try:
            events = CODEC.decode_all((event.topic, event.state) for event in stream)
            sent = sent_messages(saga_id, fold(events), events)
        except Exception as problem:
            what = f"what saga {saga_id} has sent cannot be read: {described(problem)}"
            damaged |= {event.position: what for event in stream if event.topic == RequestSent.TOPIC}
        else:
            found |= {stream[index].position: envelope for index, envelope in sent}
    for event in page:
        if event.topic == PUBLISHED and is_message_stream(event.saga_id):
            try:
                found[event.position] = _envelope.decode(event.state)
            except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
                where = f"at position {event.position} of the log"
                damaged[event.position] = f"expected a message {where}, found something else: {problem}"
    here = sorted(event.position for event in page)
    return [(one, found[one]) for one in here if one in found], {one: damaged[one] for one in here if one in damaged}
