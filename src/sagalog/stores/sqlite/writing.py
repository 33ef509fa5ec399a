"""How messages, inboxes, consumers and dead workers are written to SQLite, inside a transaction that has begun.

It opens nothing and commits nothing. What does not fit raises `Unfit`, and the caller rolls the transaction back.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec.structs import replace

from sagalog.codec import encode_json
from sagalog.messages import Envelope
from sagalog.store import Append, AttributeRow, CommandRow, InboxRow, Posting, StatusRow, StepRow, UnmatchedRow
from sagalog.store.published import PUBLISHED, stream_of
from sagalog.stores.columns import ATTRIBUTE, COMMAND, INBOX, MESSAGE, STATUS, STEP, UNMATCHED, written_out
from sagalog.stores.envelopes import body_of
from sagalog.stores.sql import for_rows, statements

BLOCKS = {
    name: text
    for part in ("store", "appending", "messages", "attributes", "jobs")
    for name, text in statements("sagalog.stores.sqlite", f"{part}.sql").items()
}
SQL = written_out(BLOCKS)

# Batches of hundreds, tens and ones: any number of rows up to 599 needs few statements, and only few different ones
# have to be prepared.
ROWS_AT_ONCE = (*range(500, 0, -100), *range(90, 0, -10), *range(9, 0, -1))

FREE_AT_ONCE = 1000

Row = tuple[Any, ...]


class Unfit(Exception):
    """Raised if something in a batch does not fit; the batch is rolled back and its items are tried one by one."""


def write_rows(cursor: sqlite3.Cursor, block: str, rows: list[Row]) -> int:
    """Write rows, many in one statement, and return how many were written.

    Python releases its global lock for each statement and must get it back after. With one statement for each row, the
    event loop and this thread would constantly wait for each other.
    """
    written = begin = 0
    for size in ROWS_AT_ONCE:
        while len(rows) - begin >= size:
            cursor.execute(for_rows(SQL[block], size), list(chain.from_iterable(rows[begin : begin + size])))
            written += cursor.rowcount
            begin += size
    return written


def free_the_dead(cursor: sqlite3.Cursor, now: int, but: Sequence[str]) -> None:
    """Take the leases of dead workers and up to `FREE_AT_ONCE` sagas of each, except those of `but`.

    The lease goes with the first sagas, so a worker that is still alive finds out. The others then have no live owner.
    """
    for (dead,) in cursor.execute(SQL["dead_workers"], (now,)).fetchall():
        cursor.execute(SQL["forget_worker"], (dead,))
        cursor.execute(SQL["give_back_some"], (dead, json.dumps(list(but)), FREE_AT_ONCE))


def last_position(cursor: sqlite3.Cursor) -> int:
    """Return the position of the last event of the log."""
    position: int = cursor.execute(SQL["last_position"]).fetchone()[0]
    return position


def write_attached(cursor: sqlite3.Cursor, appends: Sequence[tuple[Append, int]]) -> None:
    """Write everything of appends but events and rows; each append comes with the position of its last event.

    Raises `Unfit` if a message that was taken is not in the inbox.
    """
    messages: list[Row] = []
    commands: list[Row] = []
    taken: list[Row] = []
    notes: list[Row] = []
    attributes: list[Row] = []
    forgotten: list[Row] = []
    for append, position in appends:
        begin = position - len(append.events) + 1
        messages += [MESSAGE.all.values((begin + index, envelope)) for index, envelope in append.messages]
        commands += [(*COMMAND.given.values(row), 0, position) for row in append.commands]
        taken += [(append.saga_id, message_id) for message_id in dict.fromkeys(append.taken)]
        attributes += [(*ATTRIBUTE.given.values(row), position) for row in append.attributes]
        forgotten += [(append.saga_id, name) for name in append.forgotten]
        for note in append.notes:
            notes.append((*INBOX.all.values(note.row(position)), encode_json(note.envelope).decode()))
    if write_rows(cursor, "take_inbox", taken) != len(taken):
        raise Unfit
    write_rows(cursor, "insert_message", messages)
    write_rows(cursor, "upsert_command", commands)
    write_rows(cursor, "put", notes)
    write_rows(cursor, "upsert_attribute", attributes)
    cursor.executemany(SQL["forget_attribute"], forgotten)


def publish(cursor: sqlite3.Cursor, envelopes: Sequence[Envelope]) -> None:
    """Write the messages that are not in the log yet."""
    if not envelopes:
        return
    by_id: dict[str, Envelope] = {}
    for envelope in envelopes:
        by_id.setdefault(envelope.id, envelope)
    for (known,) in cursor.execute(SQL["known_messages"], (json.dumps(list(by_id)),)).fetchall():
        del by_id[known]
    fresh = list(by_id.values())
    begin = last_position(cursor) + 1
    write_rows(cursor, "insert_events", [(stream_of(one.id), 1, PUBLISHED, encode_json(one)) for one in fresh])
    write_rows(cursor, "insert_message", [MESSAGE.all.values(one) for one in enumerate(fresh, begin)])


def rewrite(
    cursor: sqlite3.Cursor,
    rows: Sequence[StatusRow],
    steps: Sequence[StepRow],
    commands: Sequence[CommandRow],
    attributes: Sequence[AttributeRow],
) -> None:
    """Replace the rows of these sagas by ones computed from the log; counts of deliveries are kept."""
    saga_ids = json.dumps([row.saga_id for row in rows])
    write_rows(cursor, "rewrite_status", [(row.saga_id, *STATUS.computed.values(row)) for row in rows])
    cursor.execute(SQL["forget_steps"], (saga_ids,))
    write_rows(cursor, "rewrite_step", [STEP.all.values(step) for step in steps])
    cursor.execute(SQL["forget_commands"], (saga_ids, json.dumps([row.command_id for row in commands])))
    write_rows(cursor, "rewrite_command", [(*COMMAND.given.values(row), 0, row.position) for row in commands])
    cursor.execute(SQL["forget_attributes"], (saga_ids,))
    write_rows(cursor, "upsert_attribute", [ATTRIBUTE.all.values(row) for row in attributes])


def reindex(cursor: sqlite3.Cursor, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
    """Replace the index of messages at these positions."""
    cursor.execute(SQL["forget_messages"], (after, upto))
    write_rows(cursor, "insert_message", [MESSAGE.all.values(message) for message in messages])


def put(cursor: sqlite3.Cursor, rows: Sequence[InboxRow], notes: Mapping[str, Envelope]) -> None:
    """Put rows into inboxes unless they are there; `notes` are messages that are not in the log, by their ids."""
    write_rows(cursor, "put", [(*INBOX.all.values(row), body_of(notes.get(row.message_id))) for row in rows])


def park(cursor: sqlite3.Cursor, rows: Sequence[UnmatchedRow]) -> None:
    """Write unmatched messages; of two rows for one message the later one is kept, with the id of the first."""
    latest: dict[tuple[str, str], UnmatchedRow] = {}
    for row in rows:
        place = (row.consumer, row.message_id)
        latest[place] = replace(row, unmatched_id=latest.get(place, row).unmatched_id)
    write_rows(cursor, "park", [UNMATCHED.all.values(row) for row in latest.values()])


def write_postings(cursor: sqlite3.Cursor, postings: Sequence[Posting]) -> None:
    """Write postings that should fit; raises `Unfit` if a row is gone or was attempted more often."""
    taken = [posting.taken for posting in postings if posting.taken is not None]
    retries = [posting.retry for posting in postings if posting.retry is not None]
    tried = [(row.recipient, row.message_id, *INBOX.changing.values(row)) for row in retries]
    if write_rows(cursor, "retry_inbox", tried) != len(tried):
        raise Unfit
    if write_rows(cursor, "take_inbox", list(taken)) != len(taken):
        raise Unfit
    publish(cursor, [envelope for posting in postings for envelope in posting.messages])
    park(cursor, [posting.parked for posting in postings if posting.parked is not None])
    delivered = Counter(command_id for posting in postings for command_id in posting.delivered)
    cursor.executemany(SQL["delivered"], [(times, command_id) for command_id, times in delivered.items()])
