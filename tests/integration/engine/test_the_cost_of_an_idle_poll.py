"""What an idle process asks its database for at each poll: counted, so that it does not grow unseen."""

import contextlib
import functools
import socket
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lab.lab import SETTINGS, Lab, in_lab
from sagas.parcel import Desk, parcel_saga
from sagas.pinging import Ping, echo
from servers.chaos_proxy import ChaosProxy

from sagalog import Saga

# A job is looked for at every tenth poll.
JOBS = 1 / 10
# Nobody renews a lease meanwhile.
LONG = SETTINGS.model_copy(update={"lease": 3000.0})
POLLS = 20
OF_A_LOOK = {"round trips", "statements", "BEGIN", "SELECT", "ROLLBACK"}


class Counting(ChaosProxy):
    """Count what clients ask a server for: statements, and how often they wait for answers."""

    def __init__(self, address: str) -> None:
        self.asked: Counter[str] = Counter()
        super().__init__(address)

    def _pump(self, source: socket.socket, sink: socket.socket, upwards: bool) -> None:
        if not upwards:
            super()._pump(source, sink, upwards)
            return
        seen, has_begun = b"", False
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                seen += data
                while len(seen) >= (5 if has_begun else 8):
                    # The first messages have no kind; the one that begins the session has the version in it.
                    head = int(has_begun)
                    length = head + int.from_bytes(seen[head : head + 4], "big")
                    if len(seen) < length:
                        break
                    if has_begun:
                        self._note(seen[:1])
                    else:
                        has_begun = int.from_bytes(seen[4:6], "big") == 3
                    seen = seen[length:]
                sink.sendall(data)

    def _note(self, kind: bytes) -> None:
        # Sync, or a simple query, ends what is waited for; Execute is a statement.
        self.asked["round trips"] += kind in (b"S", b"Q")
        self.asked["statements"] += kind in (b"E", b"Q")


def messages() -> Saga[str]:
    saga = Saga("patient", input=str, key=lambda number: number)
    saga.wait_for(Ping, key=lambda ping: str(ping.number))
    return saga


def per_poll(database: str, asked: Counter[str], has_messages: bool) -> dict[str, float]:
    """Return how often each thing is asked for at a poll."""

    async def story(lab: Lab) -> dict[str, float]:
        if has_messages:
            await lab.begin([messages()], participants=[echo([])], settings=LONG)
        else:
            await lab.begin([parcel_saga(timeout=None)], {Desk: Desk()}, settings=LONG)
        store: Any = lab.stores[0]
        claim, polls = store.claim, list[float]()

        @functools.wraps(claim)
        def counted(*arguments: Any) -> Any:
            polls.append(lab.now())
            return claim(*arguments)

        look, looks = store.takeable_job, list[float]()

        @functools.wraps(look)
        def looking(*arguments: Any) -> Any:
            looks.append(lab.now())
            return look(*arguments)

        store.claim, store.takeable_job = counted, looking
        # What is prepared is prepared by then.
        await lab.until(lambda: len(polls) == 10)
        asked.clear()
        looks.clear()
        await lab.until(lambda: len(polls) == 10 + POLLS)
        assert 0 < len(looks) <= POLLS * JOBS + 1
        # Each look for a job is one statement in one round trip, or one transaction that only reads.
        asked.subtract(dict.fromkeys(asked.keys() & OF_A_LOOK, len(looks)))
        return {what: number / POLLS for what, number in asked.items()}

    return in_lab(database, story)


@pytest.mark.postgres
def test_an_idle_poll_of_postgres_is_a_look_for_the_dead_and_a_claim(postgres_url: str) -> None:
    with Counting(postgres_url) as proxy:
        found = per_poll(proxy.url, proxy.asked, has_messages=False)
    # Each in one round trip: BEGIN, how long to wait for somebody's lock, the look or the claim, COMMIT.
    assert found == {"round trips": 2, "statements": 8}


@pytest.mark.postgres
def test_an_idle_poll_of_postgres_for_messages_too(postgres_url: str) -> None:
    with Counting(postgres_url) as proxy:
        found = per_poll(proxy.url, proxy.asked, has_messages=True)
    # Mail, with BEGIN, how long to wait and COMMIT; messages for two consumers at once, and an inbox.
    assert found["round trips"] <= 2 + 3 * 1.2
    assert found["statements"] <= 8 + 6 * 1.2


@pytest.mark.parametrize("has_messages", [False, True])
def test_an_idle_poll_of_sqlite_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_messages: bool
) -> None:
    asked: Counter[str] = Counter()
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(lambda text: asked.update([text.split()[0]]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    found = per_poll(f"sqlite:///{tmp_path}/sagas.db", asked, has_messages)
    looks = found.get("SELECT", 0) + found.get("WITH", 0)
    assert looks <= (2 + 3 * 1.2 if has_messages else 2)
    # Each look is a transaction that only reads.
    assert found["BEGIN"] == found["ROLLBACK"] == looks
    assert not found.keys() - {"BEGIN", "SELECT", "WITH", "ROLLBACK"}
