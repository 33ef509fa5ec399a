"""Every verb, asked of sagas that are under way: alone and in pairs, with a crash at every point, and with two.

People who skip, settle or fork tell a saga what no service was told. So what they said of an effect is not held against
the services; all else is.
"""

import gc
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from lab.operating import KEY, everybody, findings, histories
from lab.scenarios import FAMILY_OUTCOMES, LINE_OUTCOMES, Scenario, collecting_rarely, families, line_orders
from msgspec import Struct
from sagas import families as family
from sagas.lines import Line, Order, Packed, Reserved

from sagalog import ChildResult
from sagalog.saga import events as e
from sagalog.saga.events import Verb
from sagalog.testing.simulation.faults import CrashAt
from sagalog.testing.simulation.run import Operation

LINES = (Line("mug"), Line("pen"))
# The lines of an order, and an order with children, by what happens to them: all ends, and each way to be stuck.
LINE_STORIES: Mapping[str, Mapping[str, Any]] = {
    **{name: fields for name, (_, fields) in LINE_OUTCOMES.items()},
    "a mistake before the pivot": {"lines": LINES, "scripts": {"charge": "fault"}},
    "a mistake after the pivot": {"lines": LINES, "labels": 2, "scripts": {"print_label[1]": "fault"}},
    "nobody knows whether it closed": {"lines": LINES, "scripts": {"close": "mute 99"}},
    "nobody knows whether it was released": {
        "lines": LINES,
        "scripts": {"charge": "refused", "reserve[1] undo": "mute 99"},
    },
    "it cannot be released": {"lines": LINES, "scripts": {"close": "refused", "reserve[1] undo": "fault"}},
}
FAMILY_STORIES: Mapping[str, Mapping[str, Any]] = {
    **{name: fields for name, (_, fields) in FAMILY_OUTCOMES.items()},
    "its child is stuck": {"scripts": {"hand_over": "fault"}},
    "its child cannot be undone": {"scripts": {"close": "refused", "pack undo": "mute 99"}},
}
STORIES = (*LINE_STORIES, *FAMILY_STORIES)


How = Literal["alone", "in pairs", "crashed twice"]
"""Verbs alone or in pairs, with one crash; or alone, with a second crash at some point after the first."""


class Asked(Struct, frozen=True):
    """What somebody asks: a verb with the arguments of its method, and what the same person does afterwards."""

    verb: Verb
    what: dict[str, Any] = {}
    then: "Asked | None" = None

    def operation(self, number: str, version: int, after: float) -> Operation:
        """Return it as what a person does once the saga has so many events."""
        then = None if self.then is None else self.then.operation(f"{number}-then", version, 2.0)
        return Operation(verb=self.verb, key=KEY, id=number, version=version, after=after, what=self.what, then=then)


# What needs no step, and each verb that does: these are asked in pairs.
COMMON = (
    Asked("cancel"),
    Asked("retry"),
    Asked("resume"),
    Asked("pause", then=Asked("unpause")),
    Asked("reschedule", {"at": 0.5, "deadline": True}),
    Asked("undo"),
    Asked("abandon", then=Asked("fork", {"step": "charge"})),
)
LINES_IN_PAIRS = (
    *COMMON,
    Asked("fork", {"step": "charge"}),
    Asked("amend", {"step": "reserve[1]", "result": Reserved("pen")}),
    Asked("skip", {"step": "charge", "result": Packed(2)}),
    Asked("resolve", {"step": "close", "happened": True, "result": None}),
)
FAMILY_IN_PAIRS = (
    *COMMON,
    Asked("fork", {"step": "close"}),
    Asked("amend", {"step": "charge", "result": family.Shipped(1)}),
    Asked("skip", {"step": "close", "result": 2}),
    Asked("resolve", {"step": "close", "happened": False, "direction": "action"}),
)


def _of_steps(results: Mapping[str, Any]) -> list[Asked]:
    """Return each thing that may be asked of a step, for each of these steps, with the results that they have."""
    ways: list[Asked] = []
    for step, result in results.items():
        given = {"step": step, "result": result}
        ways += [
            Asked("skip", given),
            Asked("skip", given | {"waive": True}),
            Asked("amend", given),
            Asked("resolve", given | {"happened": True, "direction": "action"}),
            Asked("resolve", {"step": step, "happened": False, "direction": "action"}),
            Asked("resolve", {"step": step, "happened": True, "direction": "compensation"}),
            Asked("resolve", {"step": step, "happened": False, "direction": "compensation"}),
        ]
    return ways


LINE_STEPS = {
    "reserve[0]": Reserved("mug"),
    "reserve[1]": Reserved("pen"),
    "pack[1]": None,
    "charge": Packed(2),
    "close": None,
    "print_label[1]": 2,
}
LINES_ALONE = (
    *LINES_IN_PAIRS,
    Asked("reschedule", {"at": 0.5}),
    Asked("fork", {"step": "reserve"}),
    Asked("fork", {"step": "print_label"}),
    Asked("amend", {"input": Order(order_id=KEY, lines=LINES, labels=1)}),
    *_of_steps(LINE_STEPS),
)
NO_CHILD = ChildResult("nobody", "completed")
FAMILY_ALONE = (
    *FAMILY_IN_PAIRS,
    Asked("reschedule", {"at": 0.5}),
    Asked("fork", {"step": "ship"}),
    Asked("amend", {"input": family.Order(order_id=KEY)}),
    *_of_steps({"charge": family.Shipped(1), "inform": family.Shipped(1), "close": 2}),
    Asked("skip", {"step": "ship", "result": NO_CHILD}),
    Asked("skip", {"step": "ship", "result": NO_CHILD, "waive": True}),
)


def settled(story: str, people: Sequence[Operation], *points: int) -> tuple[Scenario, CrashAt]:
    """Return the simulation of one order on which people act, which crashes at the given points."""
    crash = CrashAt(*points)
    if story in LINE_STORIES:
        order = Order(order_id=KEY, **LINE_STORIES[story])
        scenario = line_orders(1, [order], lambda _: crash, restart=0.5)
    else:
        one = family.Order(order_id=KEY, **FAMILY_STORIES[story])
        scenario = families(1, [one], lambda _: crash, restart=0.5)
    scenario.requests = [*scenario.requests, *people]
    return scenario, crash


def told_otherwise(scenario: Scenario) -> set[str]:
    """Return how sentences about effects begin of which people have told what the services do not know."""
    told: set[str] = set()
    for saga_id, history in histories(scenario).items():
        for event in history:
            if isinstance(event, e.ActionTaken) and event.verb in ("skip", "resolve"):
                told.add(f"23: {saga_id}:{event.step} ")
            elif isinstance(event, e.ActionTaken) and event.verb == "fork":
                # Its effects belong to the new saga.
                told.add(f"23: {saga_id}:")
    return told


def check_verbs(story: str, how: How, every: int, first: int) -> tuple[Counter[str], dict[str, list[str]]]:
    """Ask every verb at every event, of all these ways each n-th from the given one on, with a crash at every point.

    Returns how often each verb was taken and refused, and what is wrong.
    """
    found: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    alone, pairs = (LINES_ALONE, LINES_IN_PAIRS) if story in LINE_STORIES else (FAMILY_ALONE, FAMILY_IN_PAIRS)
    wanted = itertools.combinations_with_replacement(pairs, 2) if how == "in pairs" else ((one,) for one in alone)
    with collecting_rarely():
        undisturbed, _ = settled(story, [])
        assert undisturbed.findings() == []
        length = next(row.version for row in undisturbed.simulation.world.store.rows() if row.saga_key == KEY)
        ways = itertools.product(wanted, range(1, length + 1))
        for asked, version in itertools.islice(ways, first, None, every):
            people = [one.operation(f"a-{number}", version, 0.0) for number, one in enumerate(asked)]
            for points, scenario in _crashed(story, people, how):
                wrong = findings(scenario, list(everybody(people)))
                told = tuple(told_otherwise(scenario))
                if wrong := [text for text in wrong if not text.startswith(told)]:
                    found[f"{asked} at {version}, crashed at {points}"] = wrong
                for person in everybody(people):
                    answer = scenario.simulation.told.get(person.id)
                    counts[f"{person.verb} {'taken' if answer == 'done' else 'refused'}"] += 1
    return counts, found


def _crashed(story: str, people: Sequence[Operation], how: How) -> Iterator[tuple[tuple[int, ...], Scenario]]:
    """Yield a simulation without a crash, and one for each point at which it may crash; each is run before the next."""
    seeded, passed = random.Random(f"{story}: {people}"), 1
    for point in itertools.count(0):
        points: tuple[int, ...] = (point,) if point else ()
        if point and how == "crashed twice":
            # Soon after the first, or anywhere.
            points += (point + seeded.choice((seeded.randint(1, 6), seeded.randint(1, max(1, passed - point)))),)
        scenario, crash = settled(story, people, *points)
        yield points, scenario
        passed = crash.passed
        if point % 50 == 49:
            gc.collect()
        if point and passed < point:
            break
    gc.collect()
