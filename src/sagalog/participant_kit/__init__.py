"""For a service with its own database: an inbox with tombstones in the service's own transaction; it opens nothing.

A repeated command has one effect and gets the same answer. A compensation that comes before its command is recorded as
a tombstone, and the command that comes later is refused (practice of Seata's TCC mode).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from sagalog.clock import Clock, SystemClock
from sagalog.errors import DefinitionError, Refused
from sagalog.messages import Envelope
from sagalog.participant_kit.connections import AsyncConnection, AsyncDatabase, Connection, database_of, how_to_make
from sagalog.participant_kit.turn import Answers, Delivered, Row, Turn, delivered
from sagalog.saga.identifiers import as_text, check_identifier
from sagalog.saga.options import shown

__all__ = ["ParticipantKit", "Turn"]


class ParticipantKit:
    """The inbox of one participant, in the tables of its own database.

    `name` marks its rows, so that several participants may share a database; it is also the source of the answers. The
    kit holds no state: one kit serves any number of connections, threads and processes.
    """

    def __init__(self, name: str, *, clock: Clock | None = None) -> None:
        self.name = check_identifier(name, "the name of a participant", 200)
        if clock is not None and not callable(getattr(clock, "now", None)):
            raise DefinitionError(
                f"expected now of clock=, found {shown(clock)} without it; leave it out for the system's"
            )
        self._clock = SystemClock() if clock is None else clock

    def create(self, connection: Connection) -> None:
        """Create the table `saga_participant_inbox` if it does not exist; safe to call at every start.

        The `participant_inbox` of an older sagalog is renamed. Raises `InvalidAction` if both tables exist.
        """
        database = database_of(connection)
        with database.transaction():
            database.execute("lock")
            if (name := how_to_make(database.state())) is not None:
                database.execute(name)

    async def create_async(self, connection: AsyncConnection) -> None:
        """Do the same as `create`, with a `psycopg.AsyncConnection`."""
        database = AsyncDatabase(connection)
        async with database.transaction():
            await database.execute("lock")
            if (name := how_to_make(await database.state())) is not None:
                await database.execute(name)

    def handle(
        self,
        connection: Connection,
        message: Envelope,
        do: Callable[[], Answers],
        *,
        undoes: str | None = None,
        nothing_to_undo: Callable[[], Answers] | None = None,
    ) -> list[Envelope]:
        """Make the effect of a message once, and return its answers, to be sent after the commit.

        `do` makes the effect with this connection and returns the events that answer the message, or None. It is not
        called if the effect was made before, or if the command was called off. If it raises `Refused`, its writes are
        undone and a command is answered as definitely not done. If it raises anything else, everything is undone, and
        the message can be delivered again. `undoes` is the id of the command that this one undoes; it is known for
        commands of sagas. `nothing_to_undo` returns the answer to a compensation whose command was never done.

        Inside an open transaction, this becomes a part of it and its owner commits; otherwise it is a transaction.
        """
        with self._turn(connection, delivered(message, undoes)) as turn:
            if turn.is_new:
                turn.answer(do())
            elif turn.nothing_to_undo and nothing_to_undo is not None:
                turn.answer(nothing_to_undo())
        return turn.answers

    async def handle_async(
        self,
        connection: AsyncConnection,
        message: Envelope,
        do: Callable[[], Awaitable[Answers]],
        *,
        undoes: str | None = None,
        nothing_to_undo: Callable[[], Answers] | None = None,
    ) -> list[Envelope]:
        """Do the same as `handle`, with a `psycopg.AsyncConnection` and a coroutine function."""
        async with self._turn_async(connection, delivered(message, undoes)) as turn:
            if turn.is_new:
                turn.answer(await do())
            elif turn.nothing_to_undo and nothing_to_undo is not None:
                turn.answer(nothing_to_undo())
        return turn.answers

    @contextmanager
    def once(
        self,
        connection: Connection,
        command_id: str,
        *,
        undoes: str | None = None,
        correlation_id: str | None = None,
    ) -> Generator[Turn]:
        """Yield the `Turn` of a command that comes without an envelope; the block is its transaction.

        `undoes` is the id of the command that this one undoes. Make the effect only if `turn.is_new`.
        """
        asked = Delivered(
            id=as_text(command_id), action=as_text(command_id if undoes is None else undoes), undoes=undoes is not None,
            correlation_id=as_text(command_id if correlation_id is None else correlation_id),
        )  # fmt: skip
        with self._turn(connection, asked) as turn:
            yield turn

    def forget(self, connection: Connection, *, older_than: timedelta) -> int:
        """Delete rows of messages that last came more than `older_than` ago, and return how many.

        Choose it longer than the longest redelivery, one by hand from a dead-letter queue included: a forgotten command
        counts as new when it comes again.
        """
        before = self._clock.now() - int(older_than.total_seconds() * 1_000_000)
        database = database_of(connection)
        with database.transaction():
            return database.execute("forget", {"participant": self.name, "before": before})

    @contextmanager
    def _turn(self, connection: Connection, message: Delivered) -> Generator[Turn]:
        where = self._where(message)
        database = database_of(connection)
        with database.transaction():
            now = self._clock.now()
            database.execute("take", {**where, "now": now})
            turn = Turn(self.name, message, database.row(where), now)
            try:
                with database.transaction():
                    yield turn
            except Refused as refusal:
                _refuse(turn, message, refusal)
            if (row := turn.close()) is not None:
                database.execute("record", {**where, **_recorded(row)})

    @asynccontextmanager
    async def _turn_async(self, connection: AsyncConnection, message: Delivered) -> AsyncGenerator[Turn]:
        where = self._where(message)
        database = AsyncDatabase(connection)
        async with database.transaction():
            now = self._clock.now()
            await database.execute("take", {**where, "now": now})
            turn = Turn(self.name, message, await database.row(where), now)
            try:
                async with database.transaction():
                    yield turn
            except Refused as refusal:
                _refuse(turn, message, refusal)
            if (row := turn.close()) is not None:
                await database.execute("record", {**where, **_recorded(row)})

    def _where(self, message: Delivered) -> dict[str, Any]:
        """Return the key columns of a message's row; raises `InvalidIdentifier` for invalid ids."""
        check_identifier(message.id, "the id of a message")
        check_identifier(message.action, "the id of the command that is undone")
        return {"participant": self.name, "action": message.action}


def _refuse(turn: Turn, message: Delivered, refusal: Refused) -> None:
    """Answer that a command was refused; an event, or what was answered before, cannot be refused."""
    if not (turn.is_new and message.answered):
        raise refusal
    turn.refuse(str(refusal))


def _recorded(row: Row) -> dict[str, Any]:
    return {
        "status": row.status,
        "command_id": row.command_id,
        "answers": row.answers,
        "undo_id": row.undo_id,
        "undo_answers": row.undo_answers,
    }
