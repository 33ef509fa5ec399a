"""The thread that listens for hints of PostgreSQL: prompt, and ended at once when its store is closed."""

import queue
import selectors
import socket
import threading
from collections.abc import Iterator

import pytest
from databases.stores import opened

from sagalog.store import Store, StoreOptions
from sagalog.stores import store_for
from sagalog.stores.postgres import watch as postgres_watch
from sagalog.testing.contracts.store.samples import start

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(migrated_postgres_url: str) -> Iterator[Store]:
    with opened(migrated_postgres_url) as store:
        yield store


def test_a_store_that_is_watched_is_closed_without_waiting_for_the_next_look(
    store: Store, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that listens is woken; it looks by itself so rarely here that the test would not end before."""
    monkeypatch.setattr(postgres_watch, "LOOK_SECONDS", 3600.0)
    asleep = threading.Semaphore(0)

    class Sleeping(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            asleep.release()
            return super().select(timeout)

    monkeypatch.setattr(selectors, "DefaultSelector", Sleeping)
    stop = store.watch(lambda: None)
    # One that is not asleep yet would see by itself that it is to end.
    assert asleep.acquire(timeout=10)
    threads = [one for one in threading.enumerate() if one.name == "sagalog-listen"]
    stop()
    store.watch(lambda: None)
    assert asleep.acquire(timeout=10)
    threads += [one for one in threading.enumerate() if one.name == "sagalog-listen"]
    store.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_hint_comes_at_once_however_rarely_the_thread_looks_by_itself(
    store: Store, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_watch, "LOOK_SECONDS", 3600.0)
    called: queue.SimpleQueue[None] = queue.SimpleQueue()
    store.watch(lambda: called.put(None))
    called.get(timeout=10)
    with opened(migrated_postgres_url) as other:
        other.append([start()])
        called.get(timeout=10)


def test_a_store_whose_server_does_not_answer_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is being made cannot be woken, so it is not waited for."""
    monkeypatch.setattr(postgres_watch, "ENDING_SECONDS", 3600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        store = store_for(f"postgresql://ada@127.0.0.1:{port}/x", StoreOptions(connect_timeout=2))
        stop = store.watch(lambda: None)
        connection, _ = silent.accept()
        with connection:
            stop()
            store.close()
