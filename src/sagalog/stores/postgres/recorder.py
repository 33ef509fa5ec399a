"""The `eventsourcing` process recorder of the PostgreSQL store, and how appends are sent to the server.

It covers what happens inside one transaction; `sagalog.stores.postgres.store` opens connections and translates errors.
"""

from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from eventsourcing.persistence import StoredEvent as RecordedEvent
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder, PostgresSubscription
from psycopg import Cursor, errors
from psycopg.pq.abc import PGresult
from psycopg.rows import DictRow, dict_row, tuple_row

from sagalog.store import Append, AppendOutcome, Posting, PostOutcome, Route, RouteOutcome
from sagalog.stores.columns import STATUS, STEP
from sagalog.stores.companions import Companions, events_of, messages_of
from sagalog.stores.postgres.connection import SQL, BoundedConnection, Connections
from sagalog.stores.postgres.exchange import Call, bigint_array, bytea_array, exchange, text_array
from sagalog.stores.postgres.writing import advance, attach, attribute, numbered_and_listed, post, results_of
from sagalog.stores.postgres.writing import in_rounds as postings_in_rounds

LISTEN_SECONDS = 0.1

BEGIN: Call = ("begin", ())
LOCK_LOG: Sequence[Call] = (("lock_log", ()), ("rows_soon", ()))
COMMIT: Call = ("commit", ())
ROLLBACK: Call = ("rollback", ())


class _Pool:
    """The pool that the recorders of `eventsourcing` expect: our reading connections, with rows as dictionaries."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def open(self, wait: bool, timeout: float) -> None:
        """Do nothing: connections are made when they are needed."""

    def close(self) -> None:
        """Do nothing: the store closes its connections."""

    @contextmanager
    def connection(self) -> Generator[Any]:
        """Yield a connection for reading."""
        with self._connections.reader() as connection:
            shown: Any = connection
            shown.row_factory = dict_row
            try:
                yield connection
            finally:
                shown.row_factory = tuple_row


class BoundedDatastore(PostgresDatastore):
    """A datastore that gives the recorder connections with deadlines; it makes none itself and starts no thread."""

    def __init__(self, connections: Connections, schema: str) -> None:
        pool: Any = _Pool(connections)
        self.pool = pool
        self.schema = schema
        self.pool_open_timeout = None
        self.lock_timeout = 0
        self.single_row_tracking = True
        self.originator_id_type = "text"
        # Off: the database functions drop the tracking, mix up applications and take no lock.
        self.enable_db_functions = False
        self.db_type_names = set[str]()
        self.psycopg_type_adapters = {}
        self.psycopg_python_types = {}

    def register_type_adapters(self) -> None:
        """Do nothing: arrays are sent instead of the composite type."""


class _Subscription(PostgresSubscription):
    """A subscription of `eventsourcing` that treats notifications as hints, and also looks after each wait.

    The parent looks only when notified, and begins to listen after its first look. It would wait forever for events
    written in between (seen in its own tests), and for what this store writes without notifying anybody.
    """

    def _listen(self) -> None:
        try:
            with self._recorder.datastore.get_connection() as connection:
                connection.execute(SQL["listen"])
                while not self._has_been_stopped and not self._thread_error:
                    self._has_been_notified.set()
                    for _ in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                        pass
        except BaseException as problem:
            # As the parent does: the error is raised to whoever iterates.
            self._thread_error = self._thread_error or problem
            self.stop()


class SagaRecorder(PostgresProcessRecorder):
    """A recorder of saga events, usable like any of `eventsourcing`, that also writes whole appends."""

    def __init__(self, datastore: BoundedDatastore, companions: Companions) -> None:
        super().__init__(datastore, events_table_name="saga_events", tracking_table_name="saga_tracking")
        self._companions = companions

    def create_table(self) -> None:
        """Do nothing: migrations make the tables."""

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> PostgresSubscription:
        """Return the events in the log after position `gt`, and then new ones, within 0.1 s of being written."""
        return _Subscription(recorder=self, gt=gt, topics=topics)

    def _notify_channel(self, curs: Cursor[DictRow]) -> None:
        """Notify listeners of this schema; the parent would notify those of all schemas of the database."""
        curs.execute(SQL["notify_everybody"])

    def _insert_stored_events(self, curs: Cursor[DictRow], stored_events: Sequence[RecordedEvent], **_: Any) -> None:
        """Insert with four arrays, which takes a third of the time of the parent's composite type."""
        self._lock_table(curs)
        self._notify_channel(curs)
        columns = (
            [str(event.originator_id) for event in stored_events],
            [event.originator_version for event in stored_events],
            [event.topic for event in stored_events],
            [event.state for event in stored_events],
        )
        curs.execute(SQL["insert_events"], columns)

    def commit(self, connection: BoundedConnection, calls: Sequence[Call], events: int) -> list[PGresult]:
        """Run the last calls of a transaction and commit it, in one round trip if it has no companion.

        `events` is how many events it has written at most.
        """
        if not self._companions:
            return exchange(connection, [*calls, COMMIT])
        results = exchange(connection, calls)
        self._companions.write(connection, events)
        exchange(connection, [COMMIT])
        return results

    def append(self, connection: BoundedConnection, appends: Sequence[Append], sender: bytes) -> list[AppendOutcome]:
        """Write the appends that fit, in one transaction and one round trip; `appends` holds each saga at most once.

        `sender` is sent to all listeners if something may be claimed or routed, or has come to rest.
        """
        calls: list[Call] = [BEGIN, *LOCK_LOG, ("append", _columns(appends))]
        attached = attach(appends)
        calls += [call for call in (attached, attribute(appends)) if call is not None]
        if attached is not None or any(append.status.owner is None for append in appends):
            calls.append(("notify", (sender,)))
        result = self.commit(connection, calls, events_of(appends))[3]
        passed = {result.get_value(row, 0) for row in range(result.ntuples)}
        if len(passed) == len(appends):
            return ["written"] * len(appends)
        refused = [append for append in appends if append.saga_id.encode() not in passed]
        landed = _landed(connection, refused)
        return [
            "written" if append.saga_id.encode() in passed else _outcome(append, landed[append.saga_id])
            for append in appends
        ]


def _landed(connection: BoundedConnection, refused: Sequence[Append]) -> dict[str, list[tuple[str, bytes]]]:
    """Return, by saga, the events in the log at the versions where these appends would have been written."""
    places = (
        [append.saga_id for append in refused],
        [append.expected for append in refused],
        [append.expected + len(append.events) for append in refused],
    )
    found: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for saga_id, _, topic, state in connection.rows("landed", places):
        found[saga_id].append((topic, state))
    return found


def _outcome(append: Append, landed: list[tuple[str, bytes]]) -> AppendOutcome:
    """Return the outcome of a refused append: written before (acknowledgement lost), key taken, or a conflict."""
    if landed == [tuple(event) for event in append.events]:
        return "written"
    return "exists" if append.expected == 0 and not landed else "conflict"


def _columns(appends: Sequence[Append]) -> list[bytes]:
    """Return the parameters of the block `append`."""
    starts: list[tuple[Any, ...]] = []
    moves: list[tuple[Any, ...]] = []
    steps: list[tuple[Any, ...]] = []
    saga_ids: list[str | None] = []
    versions: list[int | None] = []
    topics: list[str | None] = []
    states: list[bytes] = []
    for append in appends:
        version = append.expected
        for topic, state in append.events:
            version += 1
            saga_ids.append(append.saga_id)
            versions.append(version)
            topics.append(topic)
            states.append(state)
        last = len(topics)
        if append.expected == 0:
            starts.append((last, *STATUS.given.values(append.status)))
        else:
            gate = (append.saga_id, append.expected, append.holder, last)
            moves.append((*gate, *STATUS.changing.values(append.status)))
        steps += [(last, *STEP.given.values(step)) for step in append.steps]
    begun, started = numbered_and_listed("b", STATUS.given, starts)
    gates, moved = numbered_and_listed("tbtb", STATUS.changing, moves)
    reflected, step_rows = numbered_and_listed("b", STEP.given, steps)
    return [
        text_array(saga_ids),
        bigint_array(versions),
        text_array(topics),
        bytea_array(states),
        *begun,
        *gates,
        *reflected,
        *started,
        *moved,
        *step_rows,
    ]


def in_rounds(appends: Sequence[Append]) -> list[list[int]]:
    """Return indexes of `appends` in groups, in order, so that no group has a saga, or a key to start, twice.

    One SQL statement does not see its own writes, so an append that depends on another goes into a later group.
    """
    rounds: list[list[int]] = []
    taken: dict[str, int] = {}
    for index, append in enumerate(appends):
        number = taken.get(append.saga_id, -1) + 1
        taken[append.saga_id] = number
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(index)
    return rounds


def write(
    recorder: SagaRecorder, connection: BoundedConnection, appends: Sequence[Append], sender: bytes
) -> list[AppendOutcome]:
    """Write a batch in one transaction; in several only if a saga occurs twice or a stream was changed by hand."""
    outcomes: dict[int, AppendOutcome] = {}
    for chosen in in_rounds(appends):
        batch = [appends[index] for index in chosen]
        outcomes |= zip(chosen, _write_apart(recorder, connection, batch, sender), strict=True)
    return [outcomes[index] for index in range(len(appends))]


def _write_apart(
    recorder: SagaRecorder, connection: BoundedConnection, appends: Sequence[Append], sender: bytes
) -> list[AppendOutcome]:
    try:
        return recorder.append(connection, appends, sender)
    except (errors.UniqueViolation, errors.DivisionByZero):
        # Somebody wrote to a stream without its status row, which the log's unique key detects. Or an append has taken
        # a message that is not in its inbox. Halving the batch finds the bad append.
        # psycopg would forget all prepared statements after a ROLLBACK, so it is sent without psycopg's knowledge.
        exchange(connection, [ROLLBACK])
        if len(appends) == 1:
            return ["conflict"]
        half = len(appends) // 2
        return [
            *_write_apart(recorder, connection, appends[:half], sender),
            *_write_apart(recorder, connection, appends[half:], sender),
        ]


def write_postings(
    recorder: SagaRecorder, connection: BoundedConnection, postings: Sequence[Posting], sender: bytes
) -> list[PostOutcome]:
    """Write postings in one transaction and one round trip; `sender` is sent to all listeners."""
    calls = [post(numbered) for numbered in postings_in_rounds(postings)]
    whole = [BEGIN, *LOCK_LOG, *calls, ("notify", (sender,))]
    results = recorder.commit(connection, whole, messages_of(postings))
    missed = {number for result in results[3 : 3 + len(calls)] for number in _numbers(result)}
    return ["conflict" if number in missed else "written" for number in range(len(postings))]


def _numbers(result: PGresult) -> list[int]:
    return [int.from_bytes(result.get_value(row, 0) or b"", "big") for row in range(result.ntuples)]


def write_route(recorder: SagaRecorder, connection: BoundedConnection, route: Route, sender: bytes) -> RouteOutcome:
    """Write a route in one transaction, or nothing of it; `sender` is sent to all listeners."""
    again = list(dict.fromkeys(route.redelivered))
    calls: list[Call] = [BEGIN, *LOCK_LOG, advance(route.advances), ("redelivered", [text_array(again)])]
    if route.starts:
        calls.append(("append", _columns(route.starts)))
        calls += [call for call in (attach(route.starts), attribute(route.starts)) if call is not None]
    try:
        results = exchange(connection, calls)
    except (errors.UniqueViolation, errors.DivisionByZero):
        exchange(connection, [ROLLBACK])
        return "exists"
    outcome: RouteOutcome = "written"
    if (results[3].ntuples, results[4].ntuples) != (len(route.advances), len(again)):
        outcome = "conflict"
    elif route.starts and results[5].ntuples != len(route.starts):
        outcome = "exists"
    if outcome == "written":
        written = events_of(route.starts) + len(route.messages)
        recorder.commit(connection, [*results_of(route), ("notify", (sender,))], written)
    else:
        exchange(connection, [ROLLBACK])
    return outcome
