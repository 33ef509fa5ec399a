"""The part of the memory store that keeps messages, inboxes and consumers; it does not know how sagas are kept.

Callers hold the store's lock. Everything is checked before the first change, so that nothing is half written.
"""

from bisect import bisect_right
from collections.abc import Container, Sequence

from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.store import (
    Advance,
    CommandRow,
    ConsumerRow,
    InboxRow,
    Note,
    Posting,
    UnmatchedQuery,
    UnmatchedRow,
)
from sagalog.stores.columns import INBOX
from sagalog.stores.memory.matching import message_matches

InboxEntry = tuple[InboxRow, Envelope]


class MemoryMessages:
    """Messages by position and id, what is still to be taken, and how far consumers have read."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._at: dict[int, Envelope] = {}
        self._first: dict[str, int] = {}
        self._commands: dict[str, CommandRow] = {}
        self._inbox: dict[str, dict[str, InboxRow]] = {}
        self._notes: dict[tuple[str, str], Envelope] = {}
        self._consumers: dict[str, ConsumerRow] = {}
        self._unmatched: dict[str, UnmatchedRow] = {}
        self._unmatched_of: dict[tuple[str, str], str] = {}

    def add(self, position: int, envelope: Envelope) -> None:
        """Index a message of the log; positions only grow."""
        self._positions.append(position)
        self._at[position] = envelope
        self._first.setdefault(envelope.id, position)

    def known(self, message_id: str) -> bool:
        """Tell whether a message is in the log."""
        return message_id in self._first

    def read(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above a position."""
        begin = bisect_right(self._positions, after)
        return [(position, self._at[position]) for position in self._positions[begin : begin + limit]]

    def of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids."""
        wanted = set(correlation_ids)
        return [(position, one) for position, one in self._at.items() if one.correlation_id in wanted]

    def find(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message with the position of its first entry in the log; None if it is not there."""
        position = self._first.get(message_id)
        return None if position is None else (position, self._at[position])

    def issue(self, row: CommandRow, position: int) -> None:
        """Write the state of a command; its count of deliveries is kept."""
        known = self._commands.get(row.command_id)
        self._commands[row.command_id] = replace(row, position=position, deliveries=known.deliveries if known else 0)

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those of these commands that exist."""
        return {one: self._commands[one] for one in command_ids if one in self._commands}

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands of a saga in the order in which it sent them."""
        rows = [row for row in self._commands.values() if row.saga_id == saga_id]
        return sorted(rows, key=lambda row: (row.issued_at, row.command_id))

    def rewrite(self, saga_ids: Sequence[str], rows: Sequence[CommandRow]) -> None:
        """Replace the commands of these sagas; their counts of deliveries are kept."""
        gone = {one: row.deliveries for one, row in self._commands.items() if row.saga_id in saga_ids}
        for one in gone:
            del self._commands[one]
        for row in rows:
            self._commands[row.command_id] = replace(row, deliveries=gone.get(row.command_id, 0))

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace the index of messages above position `after`, up to `upto`."""
        kept = {position: one for position, one in self._at.items() if not after < position <= upto}
        self._at = dict(sorted([*kept.items(), *messages]))
        self._positions = list(self._at)
        self._first = {}
        for position, envelope in self._at.items():
            self._first.setdefault(envelope.id, position)

    def holds(self, recipient: str, message_ids: Sequence[str]) -> bool:
        """Tell whether all of these messages are in an inbox."""
        there = self._inbox.get(recipient, {})
        return all(message_id in there for message_id in message_ids)

    def put(self, row: InboxRow, note: Envelope | None = None) -> None:
        """Put a row into an inbox unless it is there; `note` is its message if no log has it."""
        if note is not None:
            self._notes.setdefault((row.recipient, row.message_id), note)
        self._inbox.setdefault(row.recipient, {}).setdefault(row.message_id, row)

    def note(self, note: Note, position: int) -> None:
        """Put a note into an inbox unless it is there."""
        self.put(note.row(position), note.envelope)

    def take(self, recipient: str, message_id: str) -> None:
        """Remove a row from an inbox."""
        there = self._inbox.get(recipient, {})
        if there.pop(message_id, None) is not None and not there:
            del self._inbox[recipient]
        self._notes.pop((recipient, message_id), None)

    def recipients(self, among: Container[str] | None = None) -> list[str]:
        """Return recipients with something in their inbox (`among` None: any), the one that waited longest first."""
        waiting = [one for one in self._inbox if among is None or one in among]
        return sorted(waiting, key=lambda one: min(row.position for row in self._inbox[one].values()))

    def rows_of(self, recipient: str) -> list[InboxRow]:
        """Return the rows of an inbox in order."""
        return sorted(self._inbox.get(recipient, {}).values(), key=_place)

    def with_envelopes(self, rows: Sequence[InboxRow]) -> list[InboxEntry]:
        """Return rows in the order of their positions, with their messages."""
        return [
            (row, self._notes.get((row.recipient, row.message_id)) or self._at[row.position])
            for row in sorted(rows, key=_place)
        ]

    def due(self, recipient: str, now: int, limit: int) -> list[InboxEntry]:
        """Return the first row of each lane, if it is pending and due."""
        first: dict[str, InboxRow] = {}
        for row in self.rows_of(recipient):
            first.setdefault(row.lane, row)
        rows = [row for row in first.values() if row.status == "pending" and row.due_at <= now]
        fresh = [row for row in rows if not row.attempts]
        again = sorted([row for row in rows if row.attempts], key=lambda row: row.due_at)
        return self.with_envelopes([*fresh[:limit], *again[:limit]])[:limit]

    def fits(self, posting: Posting) -> bool:
        """Tell whether a posting may be written: its inbox rows exist and were not attempted more often."""
        if posting.taken is not None and not self.holds(posting.taken[0], [posting.taken[1]]):
            return False
        if posting.retry is None:
            return True
        known = self._inbox.get(posting.retry.recipient, {}).get(posting.retry.message_id)
        return known is not None and known.attempts <= posting.retry.attempts

    def settle(self, posting: Posting) -> None:
        """Write everything of a posting but its messages."""
        if posting.taken is not None:
            self.take(*posting.taken)
        if posting.retry is not None:
            new = posting.retry
            how_it_went = {name: getattr(new, name) for name in INBOX.changing.names}
            self._change(self._inbox[new.recipient][new.message_id], **how_it_went)
        if posting.parked is not None:
            self.park(posting.parked)
        for command_id in posting.delivered:
            if command_id in self._commands:
                known = self._commands[command_id]
                self._commands[command_id] = replace(known, deliveries=known.deliveries + 1)

    def _change(self, row: InboxRow, **changes: object) -> None:
        self._inbox[row.recipient][row.message_id] = replace(row, **changes)

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, begin: int) -> list[ConsumerRow]:
        """Give unowned consumers to a worker; new ones begin at position `begin`. Return all of them that it owns."""
        for name in names:
            row = self._consumers.setdefault(name, ConsumerRow(name, begin, None, now))
            if row.owner is None:
                self._consumers[name] = replace(row, owner=worker_id, updated_at=now)
        return [row for row in self.consumers() if row.owner == worker_id and row.consumer in names]

    def owners(self) -> set[str]:
        """Return the ids of all workers that own a consumer."""
        return {row.owner for row in self._consumers.values() if row.owner is not None}

    def free(self, owners: Sequence[str]) -> None:
        """Make consumers of these owners unowned."""
        for row in list(self._consumers.values()):
            if row.owner in owners:
                self._consumers[row.consumer] = replace(row, owner=None)

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Make those of these consumers unowned that the worker owns."""
        for name in names:
            row = self._consumers.get(name)
            if row is not None and row.owner == worker_id:
                self._consumers[name] = replace(row, owner=None)

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        return sorted(self._consumers.values(), key=lambda row: row.consumer)

    def may_advance(self, advance: Advance) -> bool:
        """Tell whether a consumer has the expected position and owner."""
        row = self._consumers.get(advance.consumer)
        return row is not None and (row.owner, row.position) == (advance.worker_id, advance.expected)

    def advance(self, advance: Advance) -> None:
        """Move a consumer to its new position."""
        row = self._consumers[advance.consumer]
        self._consumers[advance.consumer] = replace(row, position=advance.position)

    def park(self, row: UnmatchedRow) -> None:
        """Write an unmatched message; it replaces an earlier row for the same consumer and message."""
        unmatched_id = self._unmatched_of.setdefault((row.consumer, row.message_id), row.unmatched_id)
        self._unmatched[unmatched_id] = replace(row, unmatched_id=unmatched_id)

    def waits_for_routing(self, unmatched_id: str) -> bool:
        """Tell whether a message is to be routed again."""
        row = self._unmatched.get(unmatched_id)
        return row is not None and row.status == "redelivering"

    def redelivered(self, unmatched_id: str) -> None:
        """Mark a message as redelivered."""
        self._unmatched[unmatched_id] = replace(self._unmatched[unmatched_id], status="redelivered")

    def decide(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write a person's decision about a parked message; return False if it is no longer parked."""
        row = self._unmatched.get(unmatched_id)
        if row is None or not (row.status == "parked" or (row.status, status) == ("redelivering", "discarded")):
            return False
        held = self._inbox.get(row.consumer, {}).get(row.message_id)
        if held is not None and held.status == "parked":
            if status == "discarded":
                self.take(row.consumer, row.message_id)
            else:
                self._change(held, status="pending", attempts=0, due_at=now)
                status = "redelivered"
        self._unmatched[unmatched_id] = replace(row, status=status, actor=actor, settled_reason=reason, settled_at=now)
        return True

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the rows that match, newest first."""
        rows = sorted(self._unmatched.values(), key=lambda row: row.unmatched_id, reverse=True)
        return [row for row in rows if message_matches(row, query)][: query.limit]

    def redelivering(self, consumers: Sequence[str], limit: int, after: str) -> list[UnmatchedRow]:
        """Return what is to be routed again, oldest first."""
        wanted = [row for row in self._unmatched.values() if row.status == "redelivering" and row.consumer in consumers]
        rows = sorted(wanted, key=lambda row: row.unmatched_id)
        return [replace(row, message="") for row in rows if row.unmatched_id > after][:limit]


def _place(row: InboxRow) -> tuple[int, str]:
    return row.position, row.message_id
