"""The sign of life on PostgreSQL: a lock of a session, what ends it, and where there can be none."""

import logging
import socket
import time
from collections.abc import Iterator
from typing import cast

import psycopg
import pytest
from databases.stores import opened
from servers.chaos_proxy import ChaosProxy

from sagalog.store import Store
from sagalog.stores.postgres.store import PostgresStore
from sagalog.testing.contracts.store.samples import NOW, SECOND, lease

pytestmark = pytest.mark.postgres

LATER = NOW + 5 * SECOND
# The sessions that hold a lock of a worker.
HOLDERS = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid = 'saga_workers'::regclass
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
def store(migrated_postgres_url: str) -> Iterator[PostgresStore]:
    with opened(PostgresStore(migrated_postgres_url)) as store:
        yield cast(PostgresStore, store)


@pytest.fixture
def peer(migrated_postgres_url: str) -> Iterator[PostgresStore]:
    with opened(PostgresStore(migrated_postgres_url)) as store:
        yield cast(PostgresStore, store)


@pytest.fixture
def session(migrated_postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(migrated_postgres_url, autocommit=True) as session:
        yield session


def locks(session: psycopg.Connection) -> list[int | None]:
    return [row[0] for row in session.execute("SELECT life_lock FROM saga_workers ORDER BY worker_id")]


def end_sessions(session: psycopg.Connection, which: str) -> None:
    """End these sessions, and return when the server has let go of what they held."""
    [(ended,)] = session.execute(f"SELECT count(pg_terminate_backend(pid, 10000)) FROM ({which}) AS found".encode())
    assert ended > 0


def silent(peer: PostgresStore) -> list[str]:
    return [one.lease.worker_id for one in peer.free(NOW)]


def lost(store: Store) -> bool:
    """Tell whether a worker sees that its sign of life is gone, in a moment."""
    give_up = time.monotonic() + 10
    while store.shows_life("w1") and time.monotonic() < give_up:
        time.sleep(0.001)
    return not store.shows_life("w1")


def test_a_session_that_was_ended_is_noticed_without_asking(
    store: PostgresStore, peer: PostgresStore, session: psycopg.Connection
) -> None:
    store.register(lease("w1"))
    assert (store.shows_life("w1"), silent(peer)) == (True, [])
    end_sessions(session, HOLDERS)
    assert lost(store)
    assert silent(peer) == ["w1"]


def test_a_worker_that_lost_only_a_session_takes_another_lock_and_keeps_its_lease(
    store: PostgresStore, peer: PostgresStore, session: psycopg.Connection
) -> None:
    store.register(lease("w1"))
    [before] = locks(session)
    end_sessions(session, HOLDERS)
    assert lost(store)
    [seen] = peer.free(NOW)
    assert store.renew("w1", LATER) is True
    assert (store.shows_life("w1"), silent(peer)) == (True, [])
    # Whoever has seen it silent has seen another lease.
    peer.end_lease(seen.lease)
    assert store.renew("w1", LATER + 1) is True
    assert locks(session) not in ([before], [None])


def test_a_worker_whose_sessions_were_all_ended_shows_life_again_at_the_second_try(
    store: PostgresStore, peer: PostgresStore, session: psycopg.Connection
) -> None:
    store.register(lease("w1"))
    end_sessions(
        session,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sagalog'",
    )
    assert lost(store)
    with pytest.raises(Exception, match="terminating connection"):
        store.renew("w1", LATER)
    assert store.shows_life("w1") is False
    assert store.renew("w1", LATER) is True
    assert store.shows_life("w1") is True


def test_looking_after_ones_own_sign_asks_the_server_nothing(store: PostgresStore, session: psycopg.Connection) -> None:
    store.register(lease("w1"))
    state = f"SELECT query, state_change FROM pg_stat_activity WHERE pid IN ({HOLDERS})".encode()
    before = session.execute(state).fetchall()
    assert all(store.shows_life("w1") for _ in range(1000))
    assert session.execute(state).fetchall() == before


def test_a_lock_ends_when_the_worker_leaves_and_when_it_takes_another_name(
    store: PostgresStore, session: psycopg.Connection
) -> None:
    store.register(lease("w1"))
    store.register(lease("w2"))
    assert holders_become(session, 2)
    store.end_sign("w1")
    assert holders_become(session, 1)
    store.release("w2")
    assert holders_become(session, 0)


def holders_become(session: psycopg.Connection, number: int) -> bool:
    give_up = time.monotonic() + 10
    while (found := len(session.execute(HOLDERS.encode()).fetchall())) != number and time.monotonic() < give_up:
        time.sleep(0.01)
    return found == number


def test_a_lock_that_somebody_else_holds_is_not_taken_for_a_sign(
    store: PostgresStore, peer: PostgresStore, session: psycopg.Connection
) -> None:
    """Whoever has locked all numbers that may be drawn, one of them here: it says nothing of a worker that lives."""
    store.register(lease("w1"))
    [number] = locks(session)
    end_sessions(session, HOLDERS)
    session.execute("SELECT pg_advisory_lock('saga_workers'::regclass::oid::int, %s)", [number])
    assert silent(peer) == []
    assert lost(store)


class Talking(ChaosProxy):
    """Lets the server say something by itself, as it does when its settings are read again."""

    def say(self, message: bytes) -> None:
        """Say something to every client."""
        for client, _ in self._pairs:
            client.sendall(message)


def test_a_server_that_says_something_by_itself_has_not_ended_the_session(migrated_postgres_url: str) -> None:
    text = b"IntervalStyle\x00iso_8601\x00"
    with Talking(migrated_postgres_url) as proxy, opened(PostgresStore(proxy.url)) as store:
        store.register(lease("w1"))
        proxy.say(b"S" + (len(text) + 4).to_bytes(4, "big") + text)
        assert all(store.shows_life("w1") for _ in range(100))
        proxy.cut()
        assert lost(store)


class Pooler(ChaosProxy):
    """Tells its clients of another process than the one that serves them, as poolers do."""

    def _pump(self, source: socket.socket, sink: socket.socket, upwards: bool) -> None:
        head = b"K\x00\x00\x00\x0c"
        while not upwards and (data := source.recv(65_536)):
            before, found, after = data.partition(head)
            sink.sendall(before + found + (b"\x00\x00\x00\x01" + after[4:] if found else b""))
            if found:
                break
        super()._pump(source, sink, upwards)


def test_behind_a_pooler_there_is_no_sign_and_the_lease_tells(
    migrated_postgres_url: str, session: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Its sessions are not those of its clients: a lock would be held after the worker has died, or end before."""
    with Pooler(migrated_postgres_url) as proxy, opened(PostgresStore(proxy.url)) as store:
        with caplog.at_level(logging.INFO, "sagalog.stores"):
            store.register(lease("w1"))
            assert store.renew("w1", LATER) is True
        assert locks(session) == [None]
        assert holders_become(session, 0)
        assert store.shows_life("w1") is True
    assert [record.getMessage() for record in caplog.records if "pooler" in record.getMessage()] == [
        (
            "this worker shows no sign of life, if it dies others wait for its lease: "
            "a pooler stands between, and a lock would be held by one of its sessions"
        )
    ]


def test_a_server_that_takes_no_more_connections_leaves_it_to_the_lease_and_it_is_tried_again(
    migrated_postgres_url: str, session: psycopg.Connection
) -> None:
    with opened(PostgresStore(migrated_postgres_url)) as one:
        store = cast(PostgresStore, one)
        real = store.address.connect

        def full(count: list[int] | None = None) -> psycopg.Connection:
            del count
            raise psycopg.OperationalError("FATAL: sorry, too many clients already")

        store.register(lease("w1"))
        end_sessions(session, HOLDERS)
        assert lost(store)
        store.address.connect = full  # type: ignore[assignment, method-assign]
        assert store.renew("w1", LATER) is True
        assert (locks(session), store.shows_life("w1")) == ([None], True)
        store.address.connect = real  # type: ignore[method-assign]
        assert store.renew("w1", LATER + 1) is True
        assert locks(session) != [None]
