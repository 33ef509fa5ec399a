"""Invariants 33 and 36: mail that cannot be read keeps nobody waiting but the saga that it is for."""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg
import pytest
from databases.trouble import DatabaseTrouble
from lab.lab import Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga
from sagas.pinging import Ping, pinged

from sagalog import Saga
from sagalog.errors import BatchTooLarge, StoreError, StoreUnavailable
from sagalog.messages import Envelope
from sagalog.store import Advance, InboxRow, Route, Store

KEYS = [str(number) for number in range(8)]
ODD = KEYS[3]
PLAIN = [f"plain {number}" for number in range(8)]
SOON = 5.0


class NoMail:
    """A store that cannot read the mail of one saga, or of any."""

    def __init__(self, store: Store, problem: StoreError, odd: str | None) -> None:
        self._store = store
        self._problem = problem
        self._odd = odd
        self.is_mended = False
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _check(self, recipients: Sequence[str]) -> None:
        if not self.is_mended and (self._odd is None or self._odd in recipients):
            self.asked += 1
            raise self._problem

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        found = self._store.mail(worker_id, limit, but)
        self._check([row.recipient for row, _ in found])
        return found

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        if self._odd is None:
            self._check(())
        return self._store.mailed(worker_id, limit, but)

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        self._check([recipient])
        return self._store.inbox(recipient, now, limit)


def patient() -> Saga[str]:
    saga = Saga("patient", input=str, key=lambda number: number)
    saga.wait_for(Ping, key=lambda ping: str(ping.number))
    return saga


async def mailed(lab: Lab) -> dict[str, str]:
    """Put a message into the inbox of each of some sagas that nobody runs; return their ids by key."""
    saga = patient()
    process = await lab.begin([saga])
    ids = {key: await process.start(saga, key, key) for key in KEYS}
    await process.stop()
    client = await lab.begin(worker=False)
    for key in KEYS:
        await pinged(client, int(key))
    store = lab.stores[-1]
    (owned,) = store.take_consumers("w", ["saga:patient"], lab.world.now(), False)
    found = [one for one in store.read_messages(owned.position, 100) if one[1].name == "Ping"]
    pairs = zip(found, ids.values(), strict=True)
    rows = [InboxRow(saga_id, one.id, saga_id, one.name, 1, 1, position=at) for (at, one), saga_id in pairs]
    advance = Advance(owned.consumer, "w", owned.position, found[-1][0])
    assert store.route(Route([advance], inbox=rows)) == "written"
    return ids


def statuses(lab: Lab, saga_ids: Sequence[str]) -> list[str]:
    return [row.status for row in lab.stores[-1].statuses(saga_ids).values()]


def all_completed(lab: Lab, saga_ids: Sequence[str]) -> Callable[[], bool]:
    return lambda: statuses(lab, saga_ids) == ["completed"] * len(saga_ids)


@pytest.mark.parametrize("problem", [StoreUnavailable("damaged"), StoreError("damaged"), BatchTooLarge("too large")])
def test_mail_of_one_saga_that_cannot_be_read_touches_no_other(each_database: str | Store, problem: StoreError) -> None:
    plain, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> None:
        ids = await mailed(lab)
        odd = ids.pop(ODD)
        client = await lab.begin([plain], worker=False)
        those = [await client.start(plain, Parcel(key), key) for key in PLAIN]
        wrapped: list[NoMail] = []

        def wrap(store: Store) -> Store:
            wrapped.append(NoMail(store, problem, odd))
            return cast(Store, wrapped[0])

        process = await lab.begin([patient(), plain], {Desk: desk}, wrap=wrap)
        await lab.until(all_completed(lab, [*ids.values(), *those]), 20)
        await lab.sleep(600)
        assert statuses(lab, [odd]) == ["pending"]
        # Less and less often, and not at each poll.
        assert wrapped[0].asked < 60
        wrapped[0].is_mended = True
        assert (await process.result(odd)).status == "completed"

    in_lab(each_database, story)


def test_while_no_mail_can_be_read_those_that_need_none_go_on(each_database: str | Store) -> None:
    plain, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> None:
        ids = await mailed(lab)
        client = await lab.begin([plain], worker=False)
        those = [await client.start(plain, Parcel(key), key) for key in PLAIN]
        wrapped: list[NoMail] = []

        def wrap(store: Store) -> Store:
            wrapped.append(NoMail(store, StoreUnavailable("locked"), None))
            return cast(Store, wrapped[0])

        process = await lab.begin([patient(), plain], {Desk: desk}, wrap=wrap)
        await lab.until(all_completed(lab, those), 20)
        later = [await client.start(plain, Parcel(key), f"later {key}") for key in PLAIN]
        await lab.until(all_completed(lab, later), 20)
        assert statuses(lab, list(ids.values())) == ["pending"] * len(ids)
        wrapped[0].is_mended = True
        for saga_id in ids.values():
            assert (await process.result(saga_id)).status == "completed"

    in_lab(each_database, story)


@pytest.mark.postgres
def test_a_table_of_mail_that_is_locked_keeps_those_that_need_none_for_moments_only(migrated_postgres_url: str) -> None:
    plain, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> None:
        ids = await mailed(lab)
        client = await lab.begin([plain], worker=False)
        with psycopg.connect(migrated_postgres_url) as session:
            session.execute("LOCK TABLE saga_inbox IN ACCESS EXCLUSIVE MODE")
            process = await lab.begin([patient(), plain], {Desk: desk})
            began = time.monotonic()
            for key in PLAIN:
                saga_id = await client.start(plain, Parcel(key), key)
                await lab.until(all_completed(lab, [saga_id]), 5)
            assert time.monotonic() - began < 2 * SOON
        for saga_id in ids.values():
            assert (await process.result(saga_id)).status == "completed"

    in_lab(migrated_postgres_url, story)


@pytest.mark.parametrize("table", ["saga_inbox", "saga_status", "saga_messages"])
def test_a_text_that_is_no_utf_8_hides_no_other_row(tmp_path: Any, table: str) -> None:
    address, plain, desk = f"sqlite:///{tmp_path}/sagas.db", parcel_saga(timeout=None), Desk()
    damages = {
        "saga_inbox": "UPDATE saga_inbox SET name = CAST(x'50ff' AS TEXT) WHERE recipient = '{}'",
        "saga_status": "UPDATE saga_status SET waiting_for = CAST(x'50ff' AS TEXT) WHERE saga_id = '{}'",
        "saga_messages": f"UPDATE saga_messages SET source = CAST(x'50ff' AS TEXT) WHERE message_id = 'ping-{ODD}'",
    }

    async def story(lab: Lab) -> None:
        ids = await mailed(lab)
        client = await lab.begin([plain], worker=False)
        those = [await client.start(plain, Parcel(key), key) for key in PLAIN]
        DatabaseTrouble(address).execute(damages[table].format(ids[ODD]))
        process = await lab.begin([patient(), plain], {Desk: desk})
        await lab.until(all_completed(lab, [*ids.values(), *those]), 20)
        await process.stop()

    in_lab(address, story)
