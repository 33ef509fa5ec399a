"""How messages, inboxes and consumers are sent to PostgreSQL: as calls of prepared blocks.

It talks to no server; `sagalog.stores.postgres.recorder` puts the calls into transactions.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import astuple

from sagalog.codec import encode_json
from sagalog.messages import Envelope
from sagalog.store import Advance, Append, AttributeRow, CommandRow, InboxRow, Posting, Route, StatusRow, StepRow
from sagalog.store.published import PUBLISHED, stream_of
from sagalog.stores.columns import COMMAND, INBOX, MESSAGE, STATUS, STEP, UNMATCHED, Columns
from sagalog.stores.envelopes import body_of
from sagalog.stores.postgres.exchange import Call, bigint_array, bytea_array, json_array, text_array

# The values of a taken row that `post` ignores: the row is removed, so it has no new values.
_TAKEN = (None,) * len(INBOX.changing.names)
_ENCODERS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "t": text_array,
    "b": bigint_array,
    "y": bytea_array,
    "j": json_array,
}

Row = tuple[Any, ...]


def arrays(kinds: str, rows: Sequence[Row]) -> list[bytes]:
    """Return the columns of rows as arrays in wire format; each letter of `kinds` is the kind of one column."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return [_ENCODERS[kind](column) for kind, column in zip(kinds, columns, strict=True)]


def numbered_and_listed(kinds: str, listed: Columns, rows: Sequence[Row]) -> tuple[list[bytes], list[bytes]]:
    """Return rows as arrays in two parts: columns with fixed numbers in the block, and those the block lists."""
    parts = arrays(kinds + listed.kinds, rows)
    return parts[: len(kinds)], parts[len(kinds) :]


def attach(appends: Sequence[Append]) -> Call | None:
    """Return the call that writes everything of appends but events and rows; None if there is nothing."""
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
            messages.append((saga_id, append.expected + index + 1, *MESSAGE.given.values(envelope)))
        for row in append.commands:
            commands[row.command_id] = (last, *COMMAND.given.values(row))
        for note in append.notes:
            notes.append((saga_id, last, encode_json(note.envelope).decode(), *INBOX.given.values(note.row())))
    places, indexed = numbered_and_listed("tb", MESSAGE.given, messages)
    versions, issued = numbered_and_listed("b", COMMAND.given, list(commands.values()))
    reflected, noted = numbered_and_listed("tbt", INBOX.given, notes)
    return "attach", [*arrays("tbt", taken), *places, *versions, *reflected, *indexed, *issued, *noted]


def attribute(appends: Sequence[Append]) -> Call | None:
    """Return the call that writes what appends change of attributes; None if they change nothing."""
    rows: list[Row] = []
    for append in appends:
        if append.attributes or append.forgotten:
            saga_id, last = append.saga_id, append.expected + len(append.events)
            rows += [(saga_id, last, row.name, row.value, exact(row.number)) for row in append.attributes]
            rows += [(saga_id, last, name, None, None) for name in append.forgotten]
    return ("attribute", arrays("tbttt", rows)) if rows else None


def exact(number: float | None) -> str | None:
    """Return a number as text with all its digits: what PostgreSQL makes of a float itself is rounded."""
    return None if number is None else format(Decimal(number), "f")


def post(postings: Sequence[tuple[int, Posting]]) -> Call:
    """Return the call that writes postings; the answer names the numbers of those that were not written."""
    needed: list[Row] = []
    fresh: list[Row] = []
    parked: list[Row] = []
    delivered: list[Row] = []
    for number, posting in postings:
        if posting.taken is not None:
            needed.append((number, *posting.taken, *_TAKEN))
        if posting.retry is not None:
            row = posting.retry
            needed.append((number, row.recipient, row.message_id, *INBOX.changing.values(row)))
        seen: set[str] = set()
        for envelope in posting.messages:
            if envelope.id not in seen:
                seen.add(envelope.id)
                message = MESSAGE.given.values(envelope)
                fresh.append((number, stream_of(envelope.id), encode_json(envelope), *message))
        if posting.parked is not None:
            parked.append((number, *UNMATCHED.all.values(posting.parked)))
        delivered += [(number, *counted) for counted in Counter(posting.delivered).items()]
    places, retried = numbered_and_listed("btt", INBOX.changing, needed)
    streams, indexed = numbered_and_listed("bty", MESSAGE.given, fresh)
    numbers, unmatched = numbered_and_listed("b", UNMATCHED.all, parked)
    counted = arrays("btb", delivered)
    return "post", [*places, *streams, PUBLISHED.encode(), *numbers, *counted, *retried, *indexed, *unmatched]


def in_rounds(postings: Sequence[Posting]) -> list[list[tuple[int, Posting]]]:
    """Return numbered postings in groups, in order, so that no group concerns a row or message twice.

    One SQL statement does not see its own writes, so a posting that depends on another goes into a later group.
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
    """Return the calls that write everything of a route but new positions and starts."""
    postings = [Posting(route.messages)] if route.messages else []
    postings += [Posting(parked=row) for row in route.parked]
    calls = [post(numbered) for numbered in in_rounds(postings)]
    return [*calls, put(route.inbox, route.notes)] if route.inbox else calls


def put(rows: Sequence[InboxRow], notes: Mapping[str, Envelope]) -> Call:
    """Return the call that puts rows into inboxes unless they are there; `notes` are messages that no log has."""
    given = [(body_of(notes.get(row.message_id)), *INBOX.all.values(row)) for row in rows]
    bodies, listed = numbered_and_listed("t", INBOX.all, given)
    return "put", [*bodies, *listed]


def advance(advances: Sequence[Advance]) -> Call:
    """Return the call that moves consumers on; it answers with a row for each that had the expected position."""
    return "advance", arrays("ttbb", [astuple(one) for one in advances])


def rewritten(
    rows: Sequence[StatusRow],
    steps: Sequence[StepRow],
    commands: Sequence[CommandRow],
    attributes: Sequence[AttributeRow],
) -> list[Call]:
    """Return the calls that replace rows by ones computed from the log; counts of deliveries are kept."""
    statuses = [(row.saga_id, *STATUS.computed.values(row)) for row in rows]
    held = [(row.saga_id, row.name, row.value, exact(row.number), row.position) for row in attributes]
    issued = {row.command_id: (row.position, *COMMAND.given.values(row)) for row in commands}
    return [
        ("rewrite_status", arrays("t" + STATUS.computed.kinds, statuses)),
        ("rewrite_step", arrays(STEP.all.kinds, [STEP.all.values(step) for step in steps])),
        ("rewrite_command", arrays("b" + COMMAND.given.kinds, list(issued.values()))),
        ("rewrite_attribute", arrays("ttttb", held)),
    ]


def index(messages: Sequence[tuple[int, Envelope]]) -> Call:
    """Return the call that writes the index of messages at these positions."""
    return "insert_message", arrays(MESSAGE.all.kinds, [MESSAGE.all.values(message) for message in messages])
