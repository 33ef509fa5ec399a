"""What a projection does about an event that a handler fails at: it is tried again, parked in order, or stops there."""

import asyncio
import logging
from datetime import timedelta

import psycopg
import pytest
from databases.stores import opened
from read_models.order_book import Order, asked, caught_up, following, order_book, sold

from sagalog import Retry
from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import ensure, pause, resume
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import StoreUnavailable
from sagalog.projections import Metadata, Tables
from sagalog.store.projections import ParkedEvent, ProjectionRow
from sagalog.testing.clock import FakeClock


class Mood:
    """A handler that fails for one order, as long as a test wants it to."""

    def __init__(self, key: str = "o-1") -> None:
        self.key = key
        self.bad = True
        self.calls: list[int] = []
        self.seen: list[tuple[str | None, int]] = []

    def __call__(self, metadata: Metadata, tables: Tables) -> None:
        if metadata.key == self.key:
            self.calls.append(metadata.position)
            if self.bad:
                # Half of what it writes is written already: nothing of it may stay.
                tables.run("move", order_id="half", cents=1, position=metadata.position)
                raise ValueError("in a bad mood")
        self.seen.append((metadata.key, metadata.position))


def parked(projecting: Projecting) -> list[ParkedEvent]:
    with projecting.database.reading() as transaction:
        return transaction.parked("orders", 1)


def row_of(projecting: Projecting) -> ProjectionRow:
    with projecting.database.reading() as transaction:
        return transaction.generations("orders")[0]


THREE = [Order("o-0"), Order("o-1"), Order("o-2")]


def test_later_events_of_its_saga_wait_behind_it_and_others_go_on(each_sql_database: str) -> None:
    """Invariant 36: the trouble of one saga holds up no other, and its own later events keep their order."""
    mood = Mood()
    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(mood), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        found = parked(projecting)
        assert [one.status for one in found] == ["retrying", "waiting", "waiting", "waiting"]
        assert {one.lane for one in found} == {store.sagas_by_key("sell", ["o-1"])["o-1"].correlation_id}
        assert (found[0].event, found[0].error_type, found[0].error_text) == (
            "SagaStarted",
            "ValueError",
            "in a bad mood",
        )
        assert row_of(projecting).position == store.head()
    assert asked(each_sql_database, "SELECT order_id FROM orders ORDER BY 1") == [("o-0",), ("o-2",)]
    assert asked(each_sql_database, "SELECT count(*) FROM money WHERE order_id = 'half'") == [(0,)]


def test_it_is_tried_again_when_it_is_due_and_what_waits_follows_in_order(each_sql_database: str) -> None:
    mood, clock = Mood(), FakeClock()
    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(mood), store, clock=clock) as projecting:
        ensure(projecting)
        caught_up(projecting)
        before = len(mood.calls)
        mood.bad = False
        assert projecting.turn(1).due_at == clock.now() + 1_000_000
        assert len(mood.calls) == before
        clock.advance(1)
        projecting.turn(1)
        assert parked(projecting) == []
        assert [position for key, position in mood.seen if key == "o-1"] == sorted(mood.calls[before:])
        assert verify(projecting).differences == []
        assert (row_of(projecting).failures, row_of(projecting).error_type) == (0, None)


def test_after_the_last_attempt_it_waits_for_a_person_and_goes_on_when_told(
    each_sql_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    mood, clock = Mood(), FakeClock()
    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(mood), store, clock=clock) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with caplog.at_level(logging.ERROR, "sagalog.engine"):
            for _ in range(5):
                clock.advance(1)
                projecting.turn(1)
        assert [(one.status, one.attempts) for one in parked(projecting)][:2] == [("parked", 3), ("waiting", 0)]
        assert "is parked after 3 attempts" in caplog.text
        calls = len(mood.calls)
        clock.advance(timedelta(days=30))
        projecting.turn(1)
        assert len(mood.calls) == calls
        mood.bad = False
        resume(projecting)
        clock.advance(1)
        projecting.turn(1)
        assert parked(projecting) == []
        assert verify(projecting).differences == []


def test_what_comes_later_waits_even_when_the_process_was_started_again(each_sql_database: str) -> None:
    mood = Mood()
    asyncio.run(sold(each_sql_database, THREE[:1]))
    with opened(each_sql_database) as store:
        with following(order_book(mood), store) as projecting:
            ensure(projecting)
            caught_up(projecting)
        # Its saga goes on while nobody projects.
        asyncio.run(sold(each_sql_database, THREE[1:]))
        with following(order_book(mood, batch=1), store) as projecting:
            caught_up(projecting)
        with following(order_book(mood), store) as projecting:
            caught_up(projecting)
            assert [one.status for one in parked(projecting)] == ["retrying", "waiting", "waiting", "waiting"]


def test_a_projection_that_is_declared_so_stops_at_the_event(each_sql_database: str) -> None:
    mood, clock = Mood(), FakeClock()
    asyncio.run(sold(each_sql_database, THREE))
    book = order_book(mood, on_failure="stop", retry=Retry(attempts=2, delay=1, factor=1, jitter=0))
    with opened(each_sql_database) as store, following(book, store, clock=clock) as projecting:
        ensure(projecting)
        caught_up(projecting)
        first = row_of(projecting)
        stopped_at = mood.calls[0]
        assert (first.position, first.failed_position, first.paused_at) == (stopped_at - 1, stopped_at, None)
        assert asked(each_sql_database, "SELECT max(position) FROM orders")[0][0] < stopped_at
        calls = len(mood.calls)
        clock.advance(0.9)
        assert projecting.turn(1).due_at == clock.now() + 100_000
        assert len(mood.calls) == calls
        clock.advance(0.1)
        caught_up(projecting)
        second = row_of(projecting)
        assert (second.position, second.paused_by, second.error_text) == (stopped_at - 1, "sagalog", "in a bad mood")
        mood.bad = False
        clock.advance(3600)
        caught_up(projecting)
        assert row_of(projecting).position == stopped_at - 1
        resume(projecting)
        caught_up(projecting)
        assert row_of(projecting).position == store.head()
        assert verify(projecting).differences == []


def test_a_paused_projection_stands_until_it_is_resumed(each_sql_database: str) -> None:
    asyncio.run(sold(each_sql_database, THREE[:1]))
    with opened(each_sql_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        pause(projecting, "ada", "the disk is nearly full")
        asyncio.run(sold(each_sql_database, THREE[1:]))
        caught_up(projecting)
        assert row_of(projecting).paused_reason == "the disk is nearly full"
        assert asked(each_sql_database, "SELECT count(*) FROM orders") == [(1,)]
        resume(projecting)
        caught_up(projecting)
    assert asked(each_sql_database, "SELECT count(*) FROM orders") == [(3,)]


def test_an_outage_of_the_database_parks_nothing(each_sql_database: str) -> None:
    def lost(metadata: Metadata, tables: Tables) -> None:
        raise StoreUnavailable("the network is down")

    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(lost), store) as projecting:
        ensure(projecting)
        with pytest.raises(StoreUnavailable, match="the network is down"):
            projecting.turn(1)
        assert parked(projecting) == []
        assert row_of(projecting).position == 0


@pytest.mark.postgres
def test_a_connection_that_is_cut_within_a_handler_parks_nothing(migrated_postgres_url: str) -> None:
    cuts = [1]

    def cut(metadata: Metadata, tables: Tables) -> None:
        if cuts and metadata.key == "o-1":
            cuts.pop()
            [(pid,)] = tables.execute("SELECT pg_backend_pid()")
            with psycopg.connect(migrated_postgres_url) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))

    asyncio.run(sold(migrated_postgres_url, THREE))
    with opened(migrated_postgres_url) as store, following(order_book(cut), store) as projecting:
        ensure(projecting)
        with pytest.raises(StoreUnavailable):
            projecting.turn(1)
        caught_up(projecting)
        assert parked(projecting) == []
        assert verify(projecting).differences == []
