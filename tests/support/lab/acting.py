"""Any state that a saga can be in, put into a store, and each verb asked of it: previewed, done, followed to its end.

The saga is put into the store once for each verb, with its events and its rows, as if it had got there by itself.
"""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from kernel.stories import any_saga, the_child
from kernel.walks import Walk, any_act
from lab.inside import engine_of
from msgspec.structs import replace
from sagas.fulfilling import COMPLETED, FULFILMENT, NOT_REFUNDED, REJECTED, UNPAID, UNSHIPPED, Process

from sagalog.codec import encode_json
from sagalog.engine.cycle import Decision, append_of
from sagalog.process_manager import ProcessManager
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.actions.asking import Completed
from sagalog.saga.actions.rules import VERBS
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import fold
from sagalog.saga.react import Wait, react
from sagalog.saga.redecide import first_divergence
from sagalog.saga.state import SagaState
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.clock import FakeClock
from sagalog.testing.simulation.verdict import judge_history, judge_rows

History = list[e.SagaEvent]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Somewhere:
    """A saga or a choreography somewhere on its way, found by chance."""

    def __init__(self, seed: int) -> None:
        self.seeded = random.Random(seed)
        self.walk: Walk | None = None
        self.definition: Definition
        if self.seeded.random() < 0.1:
            process = _process(self.seeded)
            self.definition, self.events, self.now = process.definition, process.events, process.now
        else:
            walk = self.walk = Walk(self.seeded, any_saga(self.seeded))
            for _ in range(self.seeded.randrange(26)):
                walk.step()
            self.definition, self.events, self.now = walk.definition, walk.events, walk.now

    def copy(self, number: int) -> History:
        """Return its events under a key of their own."""
        first = self.events[0]
        assert isinstance(first, e.SagaStarted)
        return [replace(first, key=f"key-{number}"), *self.events[1:]]

    def finished(self, history: History) -> list[str]:
        """Return what is wrong with a history, once all has gone well from there on."""
        if self.walk is None:
            found = first_divergence(self.definition, history)
            return [] if found is None else [f"39: deciding again differs: {found}"]
        walk = self.walk.elsewhere(history)
        walk.finish()
        return judge_history(walk.definition, walk.events)


def _process(seeded: random.Random) -> Process:
    process = Process()
    names = list(seeded.choice((COMPLETED, UNPAID, UNSHIPPED, NOT_REFUNDED, (*REJECTED, "InventoryReserved"))))
    if seeded.random() < 0.3:
        seeded.shuffle(names)
    for name in names[: seeded.randrange(len(names) + 1)]:
        process.came(name)
    if seeded.random() < 0.2:
        process.times_out()
    return process


def check_states(seeds: range) -> tuple[dict[str, int], dict[int, list[str]]]:
    """Return how often each verb was taken and refused, and what was found wrong, by seed."""
    counts: dict[str, int] = {}
    found: dict[int, list[str]] = {}
    for seed in seeds:
        wrong = asyncio.run(_checked(seed, counts))
        if wrong:
            found[seed] = wrong
    return counts, found


async def _checked(seed: int, counts: dict[str, int]) -> list[str]:
    place = Somewhere(seed)
    store = MemoryStore()
    found: list[str] = []
    sagas = [] if place.walk is None else [place.walk.saga, the_child()]
    choreographies = [] if place.walk is not None else [FULFILMENT]
    clock = FakeClock(EPOCH + timedelta(microseconds=place.now), seed)
    async with ProcessManager(store, sagas=sagas, choreographies=choreographies, worker=False, clock=clock) as manager:
        actions = engine_of(manager).actions
        for number, verb in enumerate(VERBS):
            history = place.copy(number)
            before = fold(history)
            asked = any_act(place.seeded, place.definition, before, place.now, verb)
            saga_id = f"saga-{number}"
            put(store, place.definition, saga_id, before, history)
            preview = await actions.preview(saga_id, _as_it_is(asked))
            await actions.act(saga_id, _as_it_is(asked), 1.0)
            written = [event.state for event in store.read(saga_id, before.version)]
            if [encode_json(event) for event in preview.events] != written:
                found.append(f"49: {asked} was previewed as {preview.events} and written as {written}")
            found += [f"{verb}: {wrong}" for wrong in _judged(preview.events, before, preview.after, asked)]
            # A saga that waits for a message without any time is looked at once that comes.
            waits = any(isinstance(one, Wait) and one.until is None for one in preview.effects)
            wrong_rows = [
                one for one in judge_rows(place.definition, store, saga_id) if not (waits and one[:2] == "33")
            ]
            found += [f"{verb}: {wrong}" for wrong in wrong_rows]
            found += [f"{verb}: {wrong}" for wrong in place.finished([*history, *preview.events])]
            if preview.started:
                forked = [event.state for event in store.read("another")]
                if [encode_json(event) for event in preview.started] != forked:
                    found.append(f"49: {asked} was to start {preview.started} and started {forked}")
                found += [f"{verb}: {wrong}" for wrong in judge_rows(place.definition, store, "another")]
                found += [f"{verb}: {wrong}" for wrong in place.finished(preview.started)]
            name = f"{verb} {'refused' if isinstance(preview.events[0], e.ActionRefused) else 'taken'}"
            counts[name] = counts.get(name, 0) + 1
    return found


def _as_it_is(asked: i.Act) -> Completed:
    return lambda definition, state: asked


def put(store: MemoryStore, definition: Definition, saga_id: str, state: SagaState, history: History) -> None:
    """Write a saga with its whole history, owned by nobody."""
    decision = Decision(saga_id, None, state, history, definition, react(definition, state))
    assert store.append([append_of(decision, None, None)]) == ["written"]


def _judged(events: History, before: SagaState, after: SagaState, asked: i.Act) -> Iterator[str]:
    first = events[0]
    if not isinstance(first, e.Action | e.SagaResumed) or first.action_id != asked.action_id:
        yield f"49: {asked} is not recorded by {first}"
    if not isinstance(first, e.ActionRefused):
        return
    unchanged = replace(after, version=before.version, updated=before.updated, acts=before.acts)
    if len(events) > 1 or unchanged != before:
        yield f"49: {asked} was refused and changed something: {events}"
    if not first.why:
        yield f"49: {asked} was refused without a reason"
