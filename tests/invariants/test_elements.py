"""Invariant 27: what is made for each element is undone for each element, by the real engine."""

from collections.abc import Sequence

import msgspec
import pytest
from lab.lab import Lab, Process, in_lab
from sagas.lines import Line, Order, Reserved, Warehouse, lines_saga

from sagalog import Refused, Saga, StepContext
from sagalog.saga import events as e
from sagalog.store import Append, AppendOutcome, StepRow, Store
from sagalog.stores.memory.store import MemoryStore

LINES = tuple(Line(sku) for sku in ("mug", "pen", "ink"))


async def begin(lab: Lab) -> tuple[Process, Warehouse]:
    warehouse = Warehouse(lab.world)
    return await lab.begin([lines_saga], {Warehouse: warehouse}), warehouse


def rows_of(rows: list[StepRow]) -> dict[tuple[str, str], str]:
    return {(row.step, row.direction): row.status for row in rows}


def test_every_element_is_a_step_of_its_own_and_later_steps_take_all_results(each_database: str | Store) -> None:
    order = Order(order_id="1", lines=LINES, labels=2)

    async def story(lab: Lab) -> None:
        process, warehouse = await begin(lab)
        result = await process.execute(lines_saga, order)
        assert result.status == "completed"
        assert result.data["reserve"] == [Reserved("mug"), Reserved("pen"), Reserved("ink")]
        assert result.data["print_label"] == [0, 3]
        assert warehouse.packed == [["mug", "pen", "ink"]]
        row = await process.do(process.manager.status("key"))
        rows = await process.do(process.manager.steps(row.saga_id))
        assert rows_of(rows)["pack[2]", "action"] == "succeeded"
        assert [r.step for r in rows][:3] == ["reserve[0]", "reserve[1]", "reserve[2]"]
        assert set(warehouse.participant.made) == {f"{row.saga_id}:{step}" for step in (r.step for r in rows)}
        assert set(warehouse.participant.made.values()) == {1}

    in_lab(each_database, story)


def test_one_compensation_for_each_element_that_was_done_although_a_sibling_failed(
    each_database: str | Store,
) -> None:
    """Invariants 15, 16, 17 and 27."""
    order = Order(order_id="1", lines=LINES, scripts={"reserve[2]": "refused"})

    async def story(lab: Lab) -> None:
        process, warehouse = await begin(lab)
        saga_id = await process.start(lines_saga, order)
        assert await process.failure(saga_id) == ("failed", "refused", "reserve[2]")
        history = await process.do(process.manager.history(saga_id))
        assert [x.step for x in history if isinstance(x, e.StepCompensated)] == ["reserve[1]", "reserve[0]"]
        assert rows_of(await process.do(process.manager.steps(saga_id))) == {
            ("reserve[0]", "action"): "succeeded",
            ("reserve[1]", "action"): "succeeded",
            ("reserve[2]", "action"): "refused",
            ("reserve[0]", "compensation"): "compensated",
            ("reserve[1]", "compensation"): "compensated",
        }
        assert warehouse.participant.standing() == set()

    in_lab(each_database, story)


@pytest.mark.parametrize("mute", [1, 99])
def test_an_element_whose_outcome_nobody_knows_is_undone_as_well(mute: int) -> None:
    """Invariants 9 and 27: two at a time, the first one is done and never says so."""
    order = Order(order_id="1", lines=LINES, scripts={"pack[0]": f"mute {mute}", "pack[1]": "refused"})

    async def story(lab: Lab) -> dict[tuple[str, str], str]:
        process, warehouse = await begin(lab)
        saga_id = await process.start(lines_saga, order)
        assert await process.failure(saga_id) == ("failed", "refused", "pack[1]")
        assert warehouse.participant.standing() == set()
        return rows_of(await process.do(process.manager.steps(saga_id)))

    rows = in_lab(MemoryStore(), story)
    assert rows["pack[0]", "compensation"] == "compensated"
    assert ("pack[1]", "compensation") not in rows
    assert ("pack[2]", "action") not in rows


def test_another_process_goes_on_with_the_elements_that_were_recorded(each_database: str | Store) -> None:
    """Invariants 11 and 27: the elements are frozen, and each is done under one key."""
    order = Order(order_id="1", lines=LINES)

    async def story(lab: Lab) -> None:
        process, warehouse = await begin(lab)
        await process.start(lines_saga, order)
        await lab.until(lambda: len(warehouse.participant.made) == 2)
        process.kill()
        later = await lab.begin([lines_saga], {Warehouse: warehouse})
        result = await later.do(later.manager.execute(lines_saga, order, key="key", timeout=100))
        assert result.status == "completed"
        assert set(warehouse.participant.made.values()) == {1}
        assert len(warehouse.participant.made) == 3 + 3 + 2

    in_lab(each_database, story)


class Numbers(msgspec.Struct, frozen=True):
    count: int


def counting(at_once: bool) -> Saga[Numbers]:
    """A saga of many elements, the last of which is refused."""
    saga = Saga("numbers", input=Numbers)

    @saga.step(for_each=lambda numbers: range(numbers.count), at_once=at_once)
    async def act(number: int, numbers: Numbers, ctx: StepContext) -> int:
        if number == numbers.count - 1:
            raise Refused("the last")
        return number

    @act.compensate
    async def undo(number: int | None, ctx: StepContext) -> None: ...

    return saga


class CountingStore(MemoryStore):
    """Count the step rows and the bytes that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.bytes = 0

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        for one in appends:
            self.rows += len(one.steps)
            self.bytes += sum(len(state) for _, state in one.events) + len(one.status.waiting_for or "")
        return super().append(appends)


@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_written_for_an_element_does_not_grow_with_their_number(at_once: bool) -> None:
    saga = counting(at_once)
    written: dict[int, CountingStore] = {}
    for count in (30, 300):
        store = written[count] = CountingStore()

        async def story(lab: Lab, count: int = count) -> str:
            process = await lab.begin([saga])
            return (await process.execute(saga, Numbers(count))).status

        assert in_lab(store, story) == "failed"
    # For each: done, to be undone, being undone, undone; and what the row of its neighbour says of that.
    assert all(store.rows <= 6 * count for count, store in written.items())
    assert written[300].bytes <= 11 * written[30].bytes
