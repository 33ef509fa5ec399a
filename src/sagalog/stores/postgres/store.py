"""Sagas in PostgreSQL: any number of processes on any number of machines may share one database."""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from eventsourcing.persistence import PersistenceError
from msgspec.structs import asdict
from psycopg import RawCursor

from sagalog.errors import RowsLocked, StoreUnavailable
from sagalog.store import (
    Append,
    AppendOutcome,
    AttributeRow,
    CommandRow,
    Query,
    Selection,
    StatusRow,
    StepRow,
    StoreOptions,
)
from sagalog.store.appending import Companion
from sagalog.store.attributes import Wanted
from sagalog.store.filters import Filter
from sagalog.stores.companions import Companions
from sagalog.stores.error_codes import CANNOT_BE_SENT
from sagalog.stores.filtering import Filters
from sagalog.stores.migrations import Dialect, Migration, require_current, upgrade
from sagalog.stores.postgres.connection import SQL, Address, BoundedConnection, Connections
from sagalog.stores.postgres.errors import translated
from sagalog.stores.postgres.exchange import exchange
from sagalog.stores.postgres.fitness import check_database, check_may_migrate, check_privileges
from sagalog.stores.postgres.jobs import PostgresJobs
from sagalog.stores.postgres.life import HeldLock, take_lock
from sagalog.stores.postgres.lock import lock_schema
from sagalog.stores.postgres.messages import PostgresMessages
from sagalog.stores.postgres.recorder import BoundedDatastore, SagaRecorder, write
from sagalog.stores.postgres.select import select
from sagalog.stores.postgres.watch import Listener
from sagalog.stores.postgres.workers import PostgresWorkers
from sagalog.stores.postgres.writing import exact, rewritten
from sagalog.stores.searching import Searching, errs
from sagalog.stores.signs import NoSign, Signs
from sagalog.stores.sql import statements
from sagalog.stores.texts import only_storable

logger = logging.getLogger("sagalog.stores")

ENDED = {"completed", "failed"}
FOREVER = float("inf")

# Blocks that the server plans anew for each call, because a person's queries differ each time.
PLANNED_EACH_TIME = frozenset(
    (
        *("find", "unmatched", "find_among", "find_erring", "holders_of_text", "holders_of_number", "some_named"),
        *("find_these", "some_misdated", "jobs"),
        *("some_in_texts", "some_in_numbers", "newest_in_texts", "newest_in_numbers", "newest_unlike", "newest"),
    )
)
FILTERS = Filters(statements("sagalog.stores.postgres", "filters.sql"), exact)
# Blocks that may read whole tables.
SCANS = frozenset(("counts",))
# Blocks that wait only briefly for locked tables, because their caller can go on with other sagas meanwhile.
SOON = frozenset(("leases", "anything_lost", "lost", "with_mail", "mail", "mailed"))


class PostgresStore(PostgresWorkers, PostgresMessages, PostgresJobs, Searching):
    """The store port on one PostgreSQL database; `address` is like `postgresql://user@host/database`."""

    name = "postgres"
    dialect: Dialect = "postgres"

    def __init__(self, address: str, options: StoreOptions | None = None) -> None:
        self._options = options or StoreOptions()
        self.address = self._address = Address(address, self._options)
        # Sent with notifications, so that a store can ignore its own.
        self._token = secrets.token_hex(8)
        self._connections: Connections | None = None
        self._recorder: SagaRecorder | None = None
        self._listeners: list[Listener] = []
        self._companions = Companions()
        self._signs = Signs(self._take_sign)

    def __repr__(self) -> str:
        return f"<PostgresStore {self._address.where}>"

    @property
    def recorder(self) -> SagaRecorder:
        """Return the `eventsourcing` process recorder, through which other applications may read the log."""
        if self._recorder is None:
            raise StoreUnavailable(f"{self._address.where} is not open; call open() first")
        return self._recorder

    def open(self, migrate: bool | None = None) -> None:
        """Connect, and create or upgrade the schema as needed; with `migrate=False`, an old schema is refused.

        `migrate=None` follows the options. Raises `StoreUnfit` for a database that cannot hold sagas, and for a role
        that lacks privileges.
        """
        if self._connections is not None:
            return
        self._connections = Connections(self._address, self._options.readers, _prepare_writer)
        try:
            check_database(self._ask, self._address.where)
            check_privileges(self._ask, self._address.where, reads_only=self._options.reads_only)
            self._report_unsafe_settings()
            if self._options.migrate if migrate is None else migrate:
                check_may_migrate(self, self._ask, self._address.where)
                upgrade(self)
            else:
                require_current(self, self._address.where)
            schema = self._ask("current_schema")[0][0]
            self._recorder = SagaRecorder(BoundedDatastore(self._connections, schema), self._companions)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection, and with them go the signs of life."""
        self._signs.close()
        for listener in self._listeners:
            listener.stop()
        self._listeners.clear()
        connections, self._connections, self._recorder = self._connections, None, None
        if connections is not None:
            connections.close()

    def _take_sign(self) -> HeldLock:
        try:
            return take_lock(self._address.connect)
        except psycopg.Error as problem:
            error = translated(problem, self._address.where, self._address.secrets)
            raise NoSign(str(error), for_good=False) from None

    def _report_unsafe_settings(self) -> None:
        names = ("synchronous_commit", "fsync", "full_page_writes")
        for name, value in zip(names, self._ask("durability")[0], strict=True):
            if value == "off":
                logger.warning(
                    "%s: %s is off: a crash of the server loses what was acknowledged, and steps are repeated or never "
                    "undone; turn it on",
                    self._address.where,
                    name,
                )

    @contextmanager
    def _named_errors(self) -> Generator[Connections]:
        if self._connections is None:
            raise StoreUnavailable(f"{self._address.where} is not open; call open() first")
        try:
            yield self._connections
        except (psycopg.Error, PersistenceError, *CANNOT_BE_SENT) as problem:
            # Without a cause: a driver's text may repeat the address.
            raise translated(problem, self._address.where, self._address.secrets) from None

    @contextmanager
    def _transaction(self, seconds: float | None = None) -> Generator[BoundedConnection]:
        """Begin a transaction on the writing connection and commit it; an error closes the connection instead."""
        with self._named_errors() as connections, connections.writer(seconds) as connection:
            connection.run("begin")
            yield connection
            connection.run("commit")

    def _rows(self, block: str, values: Mapping[str, Any]) -> Sequence[Any]:
        prepare, scan, soon = block not in PLANNED_EACH_TIME, block in SCANS, block in SOON
        return self._ask(block, tuple(values.values()), prepare, scan, soon)

    def _filtered(self, block: str, values: Mapping[str, Any], where: Filter) -> Sequence[Any]:
        # The values of the filter come after those of the block.
        made = FILTERS.composed(where, lambda number: f"${len(values) + number + 1}")
        text = SQL[block].replace(SQL["filtered"], made.text.encode())
        with self._named_errors() as connections:
            return connections.rows(block, [*values.values(), *made.values], prepare=False, text=text)

    def _list(self, texts: Iterable[str]) -> list[str]:
        return only_storable(texts)

    def _ask(
        self,
        block: str,
        parameters: Sequence[Any] = (),
        prepare: bool = True,
        scan: bool = False,
        soon: bool = False,
    ) -> list[tuple[Any, ...]]:
        with self._named_errors() as connections:
            return connections.rows(block, parameters, prepare, scan, soon)

    def schema_version(self) -> int:
        """Return the number of the last migration applied."""
        if not self._ask("schema_exists", prepare=False)[0][0]:
            return 0
        return int(self._ask("schema_version", prepare=False)[0][0])

    def apply(self, migration: Migration) -> None:
        """Apply one migration; do nothing if another process already has."""
        with self._named_errors() as connections, contextlib.closing(self._address.connect()) as connection:
            del connections
            connection.deadline = FOREVER
            connection.run("no_timeout")
            lock_schema(connection, self._address.where)
            done = connection.rows("schema_exists")[0][0] and connection.rows("schema_version")[0][0]
            if done and done >= migration.number:
                return
            migration.run(
                lambda question: RawCursor(connection).execute(question.encode(), binary=True).fetchall()[0][0],
                lambda statement: RawCursor(connection).execute(statement.encode()),
            )
            connection.run("record_migration", (migration.number, migration.name, time.time_ns() // 1000))
            connection.run("commit")

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write each append that fits, all in one transaction and one round trip.

        Raises `RowsLocked`, with nothing written, if another session has locked some of the status rows.
        """
        recorder = self.recorder
        if not appends:
            return []
        try:
            with self._named_errors() as connections, connections.writer() as connection:
                return write(recorder, connection, appends, self._token.encode())
        except RowsLocked as problem:
            raise RowsLocked(str(problem), self._locked([one.saga_id for one in appends if one.expected])) from None

    def accompany(self, companion: Companion) -> Callable[[], None]:
        """Call `companion` at the end of each transaction that writes to the log."""
        return self._companions.add(companion)

    def _locked(self, saga_ids: Sequence[str]) -> frozenset[str]:
        """Return those sagas whose status rows are locked by another session."""
        free = {row[0] for row in self._look("not_locked", saga_ids=self._list(saga_ids))}
        return frozenset(self.statuses(saga_ids)) - free

    def _find(self, query: Query, least: str | None) -> list[StatusRow]:
        statuses = self._list(query.statuses) or None
        wanted = self._values_of(query, least)
        key = wanted.pop("key")
        if key is not None:
            rows = self._look_for("find_key", query, wanted | {"key": key})
        else:
            none_has_ended = statuses is not None and ENDED.isdisjoint(statuses)
            each_has_an_error = errs(query)
            wanted |= {"none_has_ended": none_has_ended, "each_has_an_error": each_has_an_error}
            rows = self._look_for("find", query, wanted)
        return [StatusRow(*row) for row in rows]

    def _find_these(self, query: Query, saga_ids: Sequence[str]) -> list[StatusRow]:
        wanted = self._values_of(query)
        del wanted["key"]
        rows = self._look_for("find_these", query, wanted | {"saga_ids": self._list(saga_ids)})
        return [StatusRow(*row) for row in rows]

    def _values_of(self, query: Query, least: str | None = None) -> dict[str, Any]:
        values = asdict(query) | {"statuses": self._list(query.statuses) or None}
        limit = values.pop("limit")
        del values["attributes"], values["where"]
        # In the order in which blocks number them.
        return values | {"least": least, "limit": limit}

    def _number(self, number: float | None) -> str | None:
        return exact(number)

    def _ask_all(
        self, block: str, query: Query, wanted: Sequence[Wanted], saga_ids: Sequence[str] | None
    ) -> Sequence[Any]:
        values = self._values_of(query)
        key = values.pop("key")
        conditions = {
            "names": [one.name for one in wanted],
            "operators": [one.operator for one in wanted],
            "texts": [one.text for one in wanted],
            "numbers": [exact(one.number) for one in wanted],
        }
        among = {} if saga_ids is None else {"saga_ids": self._list(saga_ids)}
        return self._look_for(block, query, {**values, "key": key, **conditions, **among})

    def rewrite(
        self,
        rows: Sequence[StatusRow],
        steps: Sequence[StepRow],
        commands: Sequence[CommandRow] = (),
        attributes: Sequence[AttributeRow] = (),
    ) -> None:
        """Replace the read model's rows of these sagas."""
        with self._transaction() as connection:
            connection.run("lock_log")
            connection.run("rows_soon")
            saga_ids = [row.saga_id for row in rows]
            connection.run("forget_steps", (saga_ids,))
            connection.run("forget_commands", (saga_ids, [row.command_id for row in commands]))
            connection.run("forget_attributes", (saga_ids,))
            exchange(connection, rewritten(rows, steps, commands, attributes))

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` when another process has left work or ended a saga; return a function that stops it."""
        listener = Listener(self._address, hint, self._token)
        self._listeners.append(listener)

        def stop() -> None:
            listener.stop()
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    def select(self, sql: str) -> AbstractContextManager[Selection]:
        """Run a query of a user, and give its answer."""
        if self._connections is None:
            raise StoreUnavailable(f"{self._address.where} is not open; call open() first")
        return select(self._address, sql)

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a query of a user, and return its columns and rows."""
        with self.select(sql) as selection:
            return selection.held()


def _prepare_writer(connection: BoundedConnection) -> None:
    connection.run("writer_session")
