"""The PostgreSQL store when the network or the server fails: it comes back in time and knows what was written."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psycopg
import pytest
from databases.stores import opened
from sagas.greeting import QUICK, Greeting, greet, run
from servers.chaos_proxy import ChaosProxy
from servers.postgres_server import PostgresServer

from sagalog import Saga
from sagalog.errors import StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.store import Append, AppendOutcome, Store, StoreOptions
from sagalog.stores.postgres.store import PostgresStore
from sagalog.testing.contracts.store.appending import at_once, numbered, stream_of
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, following, lease, sample_event, start, step

Result = TypeVar("Result")

pytestmark = pytest.mark.postgres

IMPATIENT = StoreOptions(connect_timeout=1, statement_timeout=1)
# A new connection (libpq knows no less than 2 s), then one statement within its own bound, and a busy machine.
BOUND_SECONDS = 2 + 1.6 + 1.5


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[ChaosProxy]:
    with ChaosProxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: ChaosProxy) -> Iterator[Store]:
    with opened(PostgresStore(proxy.url, IMPATIENT)) as store:
        yield store


def insist(call: Callable[[], Result], give_up: float = 20) -> Result:
    """Make a call until the store answers, as the committer does."""
    until = time.monotonic() + give_up
    while True:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def insist_on(store: Store, *appends: Append) -> list[AppendOutcome]:
    """Append until the store answers."""
    return insist(lambda: store.append(appends))


def saga_ids(store: Store, saga_id: str) -> list[str]:
    """Read a stream until the store answers, and return whose events they are."""
    return [event.saga_id for event in insist(lambda: store.read(saga_id))]


def test_a_hundred_lost_acknowledgements_make_no_false_conflict_and_no_double(proxy: ChaosProxy, store: Store) -> None:
    """Invariants 5 and 7: an append that landed is written, however often it is appended again."""
    written: list[list[Append]] = []
    for number in range(50):
        begun = start(f"order-{number}", owner="w1")
        event = sample_event("StepSucceeded", number=number)
        decided = following(begun, event, holder="w1", steps=[step(begun.saga_id, "reserve_inventory")])
        for append in (begun, decided):
            proxy.lose_acknowledgements = 1
            with pytest.raises(StoreUnavailable, match="nobody knows whether it was written"):
                store.append([append])
            rival = following(begun, holder="w2") if append is decided else start(f"order-{number}")
            refused = "conflict" if append is decided else "exists"
            assert insist_on(store, append, rival) == ["written", refused]
        written.append([begun, decided])
    assert proxy.lost == 100
    assert all(stream_of(store, appends[0]) == numbered(*appends) for appends in written)
    assert len(store.read_log(0, 1000)) == 100


def test_a_network_that_swallows_everything_holds_no_call_for_long(proxy: ChaosProxy, store: Store) -> None:
    store.register(lease("w1"))
    begun = start()
    store.append([begun])
    store.read(begun.saga_id)
    proxy.swallow = True
    decided = following(begun)
    calls: list[Callable[[], object]] = [
        lambda: store.append([decided]),
        lambda: store.append([decided]),
        lambda: store.read(begun.saga_id),
        lambda: store.claim("w1", [DEFINITION], NOW, 10),
        lambda: store.renew("w1", NOW),
    ]
    for call in calls:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            call()
        assert time.monotonic() - began < BOUND_SECONDS
    proxy.heal()
    assert insist_on(store, decided) == ["written"]
    assert stream_of(store, begun) == numbered(begun, decided)


def test_a_call_that_hangs_in_one_thread_leaves_readers_to_the_others(proxy: ChaosProxy, store: Store) -> None:
    begun = start()
    store.append([begun])
    proxy.swallow = True
    began = time.monotonic()

    def read() -> None:
        with pytest.raises(StoreUnavailable):
            store.read(begun.saga_id)

    at_once([read] * 6)
    assert time.monotonic() - began < 2 * BOUND_SECONDS
    proxy.heal()
    assert saga_ids(store, begun.saga_id) == [begun.saga_id]


def test_a_client_that_stops_in_the_middle_of_a_request_does_not_keep_the_log_locked(
    proxy: ChaosProxy, store: Store, postgres_url: str
) -> None:
    """The lock of the log is taken before the batch has arrived as a whole; the server ends it by itself."""
    with psycopg.connect(postgres_url) as connection:
        if connection.info.server_version < 170_000:
            pytest.skip("before PostgreSQL 17 it takes the server's TCP keepalives, which a proxy answers")
    store.append([start()])
    batch = [start() for _ in range(500)]
    proxy.pass_up = 20_000
    with pytest.raises(StoreUnavailable):
        store.append(batch)
    with opened(PostgresStore(postgres_url, IMPATIENT)) as other:
        assert insist_on(other, start()) == ["written"]
        assert len(other.read_log(0, 1000)) == 2
    proxy.heal()
    assert insist_on(store, *batch) == ["written"] * 500


def test_a_cut_connection_is_replaced(proxy: ChaosProxy, store: Store) -> None:
    begun = start()
    store.append([begun])
    store.read(begun.saga_id)
    for _ in range(3):
        proxy.cut()
        decided = start()
        assert insist_on(store, decided) == ["written"]
        assert saga_ids(store, begun.saga_id) == [begun.saga_id]


def test_a_slow_network_makes_no_append_fail(proxy: ChaosProxy, store: Store) -> None:
    proxy.delay_seconds = 0.1
    begun = start()
    assert store.append([begun]) == ["written"]
    assert store.append([following(begun)]) == ["written"]


def test_results_that_a_slow_link_cannot_carry_at_once_are_written_in_pieces(proxy: ChaosProxy) -> None:
    """12 MB of results in one moment over a link of 1.5 MB/s, where a statement may take two seconds."""
    saga = Saga("large", input=str, key=lambda name: name)
    gate = asyncio.Event()

    @saga.step(compensation=None, timeout=60)
    async def fetch(name: str) -> str:
        await gate.wait()
        return name * 100_000

    settings = QUICK.model_copy(update={"statement_timeout": 2.0, "write_timeout": 10.0, "lease": 10.0})

    async def ask() -> list[str]:
        async with ProcessManager(proxy.url, sagas=[saga], settings=settings) as manager:
            runs = [await manager.start(saga, chr(ord("A") + n)) for n in range(60)]
            proxy.delay_seconds = 0.04
            gate.set()
            # Whoever starts another one meanwhile is not told that nobody knows.
            runs.append(await manager.start(saga, "z"))
            return [(await one.result(timeout=90)).status for one in runs]

    assert run(ask()) == ["completed"] * 61


def test_whoever_watches_is_called_again_after_a_cut(proxy: ChaosProxy, store: Store, postgres_url: str) -> None:
    called = threading.Event()
    stop = store.watch(called.set)
    with opened(postgres_url) as other:
        for _ in range(2):
            for _ in range(20):
                called.clear()
                other.append([start()])
                if called.wait(1):
                    break
            assert called.is_set()
            proxy.cut()
    stop()


def test_a_process_manager_says_in_time_that_the_network_is_dead_and_goes_on_when_it_is_not(proxy: ChaosProxy) -> None:
    """Invariants 1 and 7: the start that nobody could vouch for is one saga, whether it had landed or not."""

    async def ask() -> None:
        saga = greet()
        async with ProcessManager(proxy.url, sagas=[saga], settings=QUICK) as manager:
            assert (await manager.execute(saga, Greeting("ada"), timeout=10)).status == "completed"
            proxy.swallow = True
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="trying again with the same key is safe"):
                await manager.start(saga, Greeting("grace"))
            assert time.monotonic() - began < QUICK.write_timeout + 1
            proxy.heal()
            status = ""
            while not status:
                try:
                    status = (await manager.execute(saga, Greeting("grace"), timeout=10)).status
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
            assert status == "completed"
            assert await manager.counts() == {"greet": {"completed": 2}}

    run(ask())


@pytest.mark.crash
def test_a_server_that_is_killed_under_load_loses_nothing_that_was_acknowledged(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Invariants 5, 7 and 35, with the store's own reconnection."""
    if not postgres_server.can_be_killed:
        pytest.skip("the caller's server is not ours to kill")
    acknowledged: list[list[Append]] = []
    unavailable = 0
    ended = threading.Event()

    def write(store: Store) -> Callable[[], None]:
        def loop() -> None:
            nonlocal unavailable
            while not ended.is_set():
                begun = start()
                appends = [begun]
                for _ in range(3):
                    appends.append(following(appends[-1], steps=[step(begun.saga_id, "reserve_inventory")]))
                for append in appends:
                    while True:
                        try:
                            outcome = store.append([append])
                        except StoreUnavailable:
                            unavailable += 1
                            time.sleep(0.01)
                            continue
                        assert outcome == ["written"]
                        break
                acknowledged.append(appends)

        return loop

    def kill() -> None:
        try:
            for _ in range(3):
                enough = len(acknowledged) + 30
                until = time.monotonic() + 30
                while len(acknowledged) < enough and time.monotonic() < until:
                    time.sleep(0.01)
                postgres_server.kill()
                postgres_server.start()
        finally:
            ended.set()

    with opened(PostgresStore(postgres_url, IMPATIENT)) as one, opened(PostgresStore(postgres_url, IMPATIENT)) as two:
        at_once([write(one), write(two), write(two), kill])
        assert unavailable >= 3
        assert len(acknowledged) >= 90
        assert all(stream_of(one, appends[0]) == numbered(*appends) for appends in acknowledged)
        assert len(one.read_log(0, 1_000_000)) == sum(len(appends) for appends in acknowledged)
