"""What messages, inboxes and consumers are made of on the wire to PostgreSQL: calls of prepared blocks.

It talks to no server; `sagalog.stores.postgres.recorder` puts the calls into transactions.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import astuple

from sagalog.codec import encode_json
from sagalog.messages import Envelope
from sagalog.store import Advance, Append, InboxRow, Posting, Route
from sagalog.store.published import PUBLISHED, stream_of
from sagalog.stores.postgres.exchange import Call, bigint_array, bytea_array, text_array

# The kinds of the columns of each table that the blocks `attach`, `post`, `put` and `advance` unnest: text, bigint or
# bytea.
_TAKEN = "tbt"
_INDEXED = "tbttttttbtt"
_ISSUED = "bttttttbttbb"
_NOTED = "tbtttbt"
_NEEDED = "bttbtbtt"
_FRESH = "btyttttttbtt"
_PARKED = "bttttttttt" + "btbtttb"
_DELIVERED = "btb"
_PUT = "ttttbbtbttb"
_ADVANCE = "ttbb"
_ENCODERS: dict[str, Callable[[Sequence[Any]], bytes]] = {"t": text_array, "b": bigint_array, "y": bytea_array}

Row = tuple[Any, ...]


def arrays(kinds: str, rows: Sequence[Row]) -> list[bytes]:
    """Return the columns of rows as arrays on the wire."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return [_ENCODERS[kind](column) for kind, column in zip(kinds, columns, strict=True)]


def attach(appends: Sequence[Append]) -> Call | None:
    """Return the call that writes what appends have beside events and rows; None if they have nothing."""
    appends = [one for one in appends if one.messages or one.commands or one.taken or one.notes]
    if not appends:
        return None
    taken: list[Row] = []
    messages: list[Row] = []
    commands: dict[str, Row] = {}
    notes: list[Row] = []
    for append in appends:
        saga_id, last = append.saga_id, append.expected + len(append.events)
        taken += [(saga_id, last, message_id) for message_id in dict.fromkeys(append.taken)]
        for index, envelope in append.messages:
            messages.append((saga_id, append.expected + index + 1, *columns_of(envelope)))
        for row in append.commands:
            commands[row.command_id] = (last, *astuple(row)[:-2])
        for note in append.notes:
            one = note.envelope
            notes.append((saga_id, last, note.recipient, one.id, one.name, one.time, encode_json(one).decode()))
    parameters = [
        *arrays(_TAKEN, taken),
        *arrays(_INDEXED, messages),
        *arrays(_ISSUED, list(commands.values())),
        *arrays(_NOTED, notes),
    ]
    return "attach", parameters


def columns_of(envelope: Envelope) -> Row:
    """Return the columns of a message in the index."""
    return (
        envelope.id,
        envelope.kind,
        envelope.name,
        envelope.source,
        envelope.correlation_id,
        envelope.causation_id,
        envelope.time,
        envelope.saga_id,
        envelope.step,
    )


def post(postings: Sequence[tuple[int, Posting]]) -> Call:
    """Return the call that writes postings, each with a number that the answer names if it did not pass."""
    needed: list[Row] = []
    fresh: list[Row] = []
    parked: list[Row] = []
    delivered: list[Row] = []
    for number, posting in postings:
        if posting.taken is not None:
            needed.append((number, *posting.taken, None, None, None, None, None))
        if posting.retry is not None:
            row = posting.retry
            columns = (row.attempts, row.status, row.due_at, row.error_type, row.error_text)
            needed.append((number, row.recipient, row.message_id, *columns))
        seen: set[str] = set()
        for envelope in posting.messages:
            if envelope.id not in seen:
                seen.add(envelope.id)
                fresh.append((number, stream_of(envelope.id), encode_json(envelope), *columns_of(envelope)))
        if posting.parked is not None:
            parked.append((number, *astuple(posting.parked)))
        delivered += [(number, *counted) for counted in Counter(posting.delivered).items()]
    return "post", [
        *arrays(_NEEDED, needed),
        *arrays(_FRESH, fresh),
        PUBLISHED.encode(),
        *arrays(_PARKED, parked),
        *arrays(_DELIVERED, delivered),
    ]


def in_rounds(postings: Sequence[Posting]) -> list[list[tuple[int, Posting]]]:
    """Return numbered postings in groups, in order, such that no group says anything twice of one row or message.

    Within one statement nothing sees what the statement itself has written, so what depends on it has to wait.
    """
    rounds: list[list[tuple[int, Posting]]] = []
    latest: dict[Row, int] = {}
    for number, posting in enumerate(postings):
        touched = _touched(posting)
        turn = max((latest.get(one, -1) + 1 for one in touched), default=0)
        latest |= dict.fromkeys(touched, turn)
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append((number, posting))
    return rounds


def _touched(posting: Posting) -> list[Row]:
    found: list[Row] = [("message", envelope.id) for envelope in posting.messages]
    if posting.taken is not None:
        found.append(("inbox", *posting.taken))
    if posting.retry is not None:
        found.append(("inbox", posting.retry.recipient, posting.retry.message_id))
    if posting.parked is not None:
        found.append(("unmatched", posting.parked.consumer, posting.parked.message_id))
    found += [("command", command_id) for command_id in posting.delivered]
    return found


def results_of(route: Route) -> list[Call]:
    """Return the calls that write what a route has beside new positions and starts."""
    postings = [Posting(route.messages)] if route.messages else []
    postings += [Posting(parked=row) for row in route.parked]
    calls = [post(numbered) for numbered in in_rounds(postings)]
    return [*calls, put(route.inbox)] if route.inbox else calls


def put(rows: Sequence[InboxRow]) -> Call:
    """Return the call that puts rows into inboxes unless they are there."""
    return "put", arrays(_PUT, [astuple(row) for row in rows])


def advance(advances: Sequence[Advance]) -> Call:
    """Return the call that moves consumers on; the answer has a row for each that was where it was expected."""
    return "advance", arrays(_ADVANCE, [astuple(one) for one in advances])
