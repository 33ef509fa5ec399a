"""The part of the store contract about the read model: finding sagas, counting them, their steps, and a rebuild."""

from itertools import chain
from typing import Any

from msgspec.structs import replace

from sagalog.store import Append, Query, Store
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, SECOND, ending, following, lease, start, step


def found(store: Store, **wanted: Any) -> list[str]:
    """Return the ids of the sagas that match."""
    return [row.saga_id for row in store.find(Query(**wanted))]


def ids(*appends: Append) -> list[str]:
    """Return the ids of these sagas, newest first."""
    return sorted((one.saga_id for one in appends), reverse=True)


class FindingContract:
    """The read model's rows."""

    def test_sagas_are_found_newest_first(self, store: Store) -> None:
        sagas = [start() for _ in range(5)]
        store.append(sagas[::-1])
        assert found(store) == ids(*sagas)
        assert found(store, limit=2) == ids(*sagas)[:2]

    def test_a_text_that_no_store_can_keep_is_found_nowhere(self, store: Store) -> None:
        store.append([start("key")])
        for text in ("a\0b", "a\ud800b"):
            for field in ("saga_name", "key", "error"):
                assert found(store, **{field: text}) == []

    def test_sagas_are_found_page_by_page(self, store: Store) -> None:
        sagas = [start(saga=("a", "b")[number % 2]) for number in range(9)]
        store.append(sagas)
        pages: list[list[str]] = []
        while page := found(store, saga_name="a", limit=2, before=pages[-1][-1] if pages else None):
            pages.append(page)
        assert [len(page) for page in pages] == [2, 2, 1]
        assert list(chain.from_iterable(pages)) == ids(*sagas[::2])

    def test_sagas_are_found_by_name_status_key_error_and_age(self, store: Store) -> None:
        old = start("old", started_at=NOW - 100 * SECOND)
        other = start("k", saga="returns")
        failed, stuck, plain = start("k"), start("stuck"), start("plain")
        store.append([old, other, failed, stuck, plain])
        failed = ending(failed, "failed", error_type="CardDeclined", error_text="No cover: 100% of 5_000")
        stuck = ending(stuck, "stuck", error_type="Timeout", error_text="no answer")
        store.append([failed, stuck])
        assert found(store, saga_name="returns") == ids(other)
        assert found(store, statuses=["failed"]) == ids(failed)
        assert found(store, statuses=["failed", "stuck"]) == ids(failed, stuck)
        assert found(store, key="k") == ids(failed, other)
        assert found(store, key="k", saga_name="returns") == ids(other)
        assert found(store, key="k", statuses=["failed"]) == ids(failed)
        assert found(store, started_before=NOW) == ids(old)
        assert found(store, started_after=NOW) == ids(other, failed, stuck, plain)
        assert found(store, started_after=NOW - 100 * SECOND, started_before=NOW - 99 * SECOND) == ids(old)
        assert found(store, saga_name="order-fulfilment", statuses=["started"], started_after=NOW) == ids(plain)
        assert found(store, key="no such key") == found(store, saga_name="no such saga") == []

    def test_an_error_is_found_by_a_part_of_its_type_or_text(self, store: Store) -> None:
        declined, slow, plain = start(), start(), start()
        store.append([declined, slow, plain])
        declined = ending(declined, "failed", error_type="CardDeclined", error_text="No cover: 100% of 5_000")
        slow = ending(slow, "stuck", error_type="Timeout", error_text=None)
        store.append([declined, slow])
        assert found(store, error="declined") == found(store, error="NO COVER") == ids(declined)
        assert found(store, error="TIME") == ids(slow)
        assert found(store, error="100%") == found(store, error="5_0") == ids(declined)
        assert found(store, error="1%0") == found(store, error="C_rd") == found(store, error="\\") == []
        assert found(store, error="none") == found(store, error="null") == []

    def test_the_newest_run_of_a_key_is_found(self, store: Store) -> None:
        runs = [start("k", run=number) for number in range(1, 12)]
        store.append([*runs, start("k", saga="returns"), start("other", run=1)])
        row = store.latest_run("order-fulfilment", "k")
        assert row is not None
        assert (row.saga_id, row.run) == (runs[-1].saga_id, 11)

    def test_the_rows_of_several_sagas_are_read_at_once(self, store: Store) -> None:
        sagas = [start() for _ in range(3)]
        store.append(sagas)
        wanted = [sagas[0].saga_id, sagas[2].saga_id]
        assert store.statuses([*wanted, start().saga_id]) == {one: store.status(one) for one in wanted}
        assert store.statuses([]) == {}

    def test_the_steps_of_several_sagas_are_read_at_once(self, store: Store) -> None:
        sagas = [start() for _ in range(3)]
        store.append(sagas)
        for one in sagas:
            compensation = step(one.saga_id, "compensation of pay", 2, "compensation")
            store.append([following(one, steps=[compensation, step(one.saga_id, "pay", 2), step(one.saga_id, "pick")])])
        wanted = [sagas[2].saga_id, sagas[0].saga_id, start().saga_id]
        found = store.steps_many(wanted)
        assert found == {one: store.steps(one) for one in wanted}
        assert [[row.step for row in found[one]] for one in wanted[1:]] == [["pick", "pay", "compensation of pay"], []]
        assert store.steps_many([]) == {}

    def test_counts_add_up_to_the_number_of_sagas(self, store: Store) -> None:
        """Invariant 48."""
        assert store.counts() == []
        sagas = [start() for _ in range(4)]
        store.append([*sagas, start(saga="returns")])
        store.append([ending(sagas[0]), ending(sagas[1]), ending(sagas[2], "stuck")])
        assert sorted(store.counts()) == [
            ("order-fulfilment", "completed", 2),
            ("order-fulfilment", "started", 1),
            ("order-fulfilment", "stuck", 1),
            ("returns", "started", 1),
        ]

    def test_sagas_of_definitions_that_are_not_loaded_are_told(self, store: Store) -> None:
        """Invariant 41."""
        ended = start(definition="old")
        sagas = [start(), start(definition="old"), start(definition="old"), ended]
        store.append([*sagas, start(saga="returns", definition="older", saga_version=3)])
        store.append([ending(ended)])
        assert sorted(store.unloaded([DEFINITION])) == [
            ("order-fulfilment", 1, "old", 2),
            ("returns", 3, "older", 1),
        ]
        assert store.unloaded([DEFINITION, "old", "older"]) == []
        assert len(store.unloaded([])) == 3

    def test_steps_come_in_their_order_the_actions_first(self, store: Store) -> None:
        begun = start()
        names = ["zebra", "ape", "mole"]
        actions = [step(begun.saga_id, name, number) for number, name in enumerate(names, 1)]
        undone = [step(begun.saga_id, name, number, "compensation") for number, name in enumerate(names, 1)]
        store.append([begun, following(begun, steps=[*undone[::-1], *actions[::-1]])])
        rows = store.steps(begun.saga_id)
        assert [(row.step, row.direction) for row in rows] == [
            *((name, "action") for name in names),
            *((name, "compensation") for name in names),
        ]
        assert rows[3].undoes == "zebra"

    def test_the_read_model_can_be_replaced_and_the_log_stays(self, store: Store) -> None:
        """Invariant 45: a rebuild replaces the rows, but keeps the owner."""
        damaged, other = start(owner="w1"), start()
        decided = following(damaged, holder="w1", steps=[step(damaged.saga_id, "s"), step(damaged.saga_id, "odd", 7)])
        store.append([damaged, other, decided])
        log = store.read_log(0, 100)
        other_row = store.status(other.saga_id)
        row = store.status(damaged.saga_id)
        assert row is not None
        rebuilt = replace(row, status="compensating", error_type="E", deadline_at=None, owner=None)
        steps = [step(damaged.saga_id, "s", position=row.position)]
        store.rewrite([rebuilt], steps)
        assert store.status(damaged.saga_id) == replace(rebuilt, owner="w1")
        assert store.steps(damaged.saga_id) == steps
        assert (store.read_log(0, 100), store.status(other.saga_id)) == (log, other_row)
        store.register(lease("w1"))
        assert store.append([following(decided, holder="w1")]) == ["written"]
