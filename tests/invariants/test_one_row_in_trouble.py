"""Invariants 15, 33 and 36: what is wrong with one saga's row holds up no other, whatever the database says of it."""

import asyncio
from collections.abc import Sequence

import pytest
from databases.trouble import DatabaseTrouble
from databases.troubled import STRANGE, TRANSIENT, Troubled, goes_on
from lab.lab import Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog.errors import StoreError, WriteRefused
from sagalog.store import Append


@pytest.mark.parametrize("kind", TRANSIENT)
@pytest.mark.parametrize("number", [1, 40])
def test_what_looks_like_an_outage_and_is_of_some_rows_holds_up_nobody_else(
    kind: type[StoreError], number: int
) -> None:
    """Somebody has locked them, say, for an hour: the others run as if nothing were, and these go on after that."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None, patience=10_000), Desk()
    odd = {f"odd {one}" for one in range(number)}

    def trouble(appends: Sequence[Append]) -> None:
        if any(one.status.saga_key in odd and one.expected > 0 for one in appends):
            raise kind("somebody has locked this row")

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        store.trouble = trouble
        ids = await asyncio.gather(*(process.start(saga, Parcel(key), key) for key in sorted(odd)))
        took: list[float] = []
        for round_ in range(5):
            began = lab.now()
            keys = [f"{round_} {one}" for one in range(40)]
            some = await asyncio.gather(*(process.start(saga, Parcel(key), key) for key in keys))
            assert {(await process.result(one)).status for one in some} == {"completed"}
            took.append(lab.now() - began)
        # Of sixty worlds a round took 3.2 s at most.
        assert max(took) < 5, took
        assert sum(took) < 10, took
        asked = store.asked
        await lab.sleep(3600)
        # Each of them every ten seconds at most.
        assert store.asked - asked <= number * 3600 / 10 * 1.1
        store.trouble = lambda _: None
        return [(await process.result(one)).status for one in ids]

    assert in_lab(store, story) == ["completed"] * number
    assert sorted(desk.calls()) == sorted(["pick", "pay", "send"] * (number + 200))


@pytest.mark.parametrize("kind", [WriteRefused, *STRANGE])
def test_what_is_refused_for_some_seconds_only_is_not_believed(kind: type[Exception]) -> None:
    """Somebody replaces a trigger, or changes a table."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    def trouble(appends: Sequence[Append]) -> None:
        if any(goes_on(one) for one in appends):
            raise kind("for two seconds")

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        store.trouble = trouble
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        await lab.sleep(2)
        store.trouble = lambda _: None
        return (await process.result(saga_id)).status

    assert in_lab(store, story) == "completed"
    assert desk.calls() == ["pick", "pay", "send"]


@pytest.mark.postgres
@pytest.mark.parametrize("code", ["55P03", "40001", "40P01", "25006", "57014", "57P04", "08006", "53100", "42P01"])
def test_a_row_that_fails_with_a_code_of_outages_holds_up_no_other(migrated_postgres_url: str, code: str) -> None:
    """Its own saga waits, and goes on once the trigger is gone: such an error says that it may pass."""
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(migrated_postgres_url)

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        rows = "NEW.direction = 'action' AND NEW.step = 'pay' AND NEW.status = 'succeeded'"
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        with trouble.forbidding("saga_steps", f"{rows} AND NEW.saga_id = '{saga_id}'", code):
            found: list[str] = []
            for number in range(10):
                others = [await process.start(saga, Parcel(f"{number} {n}"), f"{number} {n}") for n in range(5)]
                found += [(await process.result(one)).status for one in others]
            assert lab.now() < 10
            assert (await process.do(process.manager.status(saga_id))).status == "pending"
        return [*found, (await process.result(saga_id)).status]

    assert in_lab(migrated_postgres_url, story) == ["completed"] * 51
    assert desk.calls().count("pay") == 51
