"""What must hold of every saga once a simulation has come to rest; it reads store and trace, and repairs nothing.

Each violation is a sentence with the number of its invariant.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from sagalog.codec import CODEC
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga import events as e
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import evolve, fold
from sagalog.saga.identifiers import part_name, part_of
from sagalog.saga.redecide import first_divergence
from sagalog.saga.state import UNTOUCHED, SagaState, is_done, is_open, is_to_undo
from sagalog.saga.transitions import ENDED, FORWARD
from sagalog.store import StatusRow, Store
from sagalog.testing.simulation.families import judge_families, waiting_for_a_person
from sagalog.testing.simulation.run import Simulation
from sagalog.testing.simulation.virtual_loop import Incarnation
from sagalog.testing.simulation.world import Entry

History = list[e.SagaEvent]


def judge(simulation: Simulation) -> list[str]:
    """Return all violations after a run; empty if every invariant holds."""
    store = simulation.world.store
    definitions = {saga.definition.digest: saga.definition for saga in simulation.sagas}
    found = [] if simulation.came_to_rest else ["15: the sagas did not come to rest"]
    rows = store.rows()
    found += _starts(simulation, rows)
    histories: dict[str, History] = {}
    waiting = waiting_for_a_person(rows)
    for row in rows:
        stored = store.read(row.saga_id)
        found += [f"35: saga {row.saga_id} has a gap" for n, s in enumerate(stored, 1) if s.version != n]
        events = histories[row.saga_id] = CODEC.decode_all((s.topic, s.state) for s in stored)
        definition = definitions[row.definition]
        name = f"saga {row.saga_key} ({row.saga_id})"
        wrong = judge_saga(definition, store, row, events)
        if row.saga_id in waiting:
            # It may stay open, with no worker, as long as its child is stuck.
            wrong = [text for text in wrong if not text.startswith(("15: it came to rest", "33: it is open"))]
        found += [f"{text} [{name}]" for text in wrong]
    found += judge_families(definitions, {row.saga_id: fold(histories[row.saga_id]) for row in rows})
    found += judge_trace(definitions, {row.saga_id: row for row in rows}, histories, simulation.world.trace)
    return found


def judge_saga(definition: Definition, store: Store, row: StatusRow, events: History) -> list[str]:
    """Return what is wrong with one saga at rest: its end, its rows, its history."""
    return judge_history(definition, events) + list(_rows(definition, store, row, fold(events)))


def judge_history(definition: Definition, events: History) -> list[str]:
    """Return what is wrong with the history of a saga that has come to rest, whoever wrote it."""
    found = list(_end(definition, fold(events), events))
    divergence = first_divergence(definition, events)
    if divergence is not None:
        found.append(f"39: deciding again differs: {divergence}")
    found += _order(definition, events)
    return found


def _starts(simulation: Simulation, rows: list[StatusRow]) -> Iterator[str]:
    keys = [(row.saga_name, row.saga_key, row.run) for row in rows]
    for key in set(keys):
        if keys.count(key) > 1:
            yield f"1: {key} was started {keys.count(key)} times"
    known = {row.saga_id for row in rows}
    for asked, saga_ids in simulation.acknowledged.items():
        if len(saga_ids) > 1:
            yield f"1: the clients of {asked} were given {len(saga_ids)} sagas"
        if not saga_ids <= known:
            yield f"5: the start of {asked} was acknowledged and is not in the store"


def _end(definition: Definition, state: SagaState, events: History) -> Iterator[str]:
    """Check invariants 15, 16, 24, 25, 26 and 27 at the saga's end."""
    undone = [event.step for event in events if isinstance(event, e.StepCompensated)]
    began = any(isinstance(event, e.CompensationStarted) for event in events)
    match state.status:
        case "completed":
            if began or undone:
                yield "15: it completed and something was undone"
            names = [one for name in definition.steps for one in _names(state, name)]
            missing = [n for n in names if not is_done(state.steps.get(n, UNTOUCHED))]
            if missing:
                yield f"15: it completed without {', '.join(missing)}"
        case "failed":
            yield from _failed(definition, state, events, undone)
        case "stuck":
            if not state.reason or state.error is None:
                yield "15: it is stuck without a reason"
            waiting = {n for n, s in state.steps.items() if is_to_undo(s)}
            listed, late = set(state.pending), set(undone)
            if state.rolling_back and listed - late != waiting - late:
                yield f"24: it is stuck with {waiting} to undo and says {state.pending}"
        case "abandoned":
            yield from _abandoned(definition, events)
        case _:
            yield f"15: it came to rest {state.status}"


def _abandoned(definition: Definition, events: History) -> Iterator[str]:
    """Check that an abandoned saga names every step whose effect it leaves."""
    end = next(n for n, event in enumerate(events) if isinstance(event, e.SagaAbandoned))
    last = events[end]
    assert isinstance(last, e.SagaAbandoned)
    for name, step in fold(events[:end]).steps.items():
        declared = definition.steps[name]
        needs_undoing = declared.compensation is not None or declared.child is not None
        none = step.action.status in ("refused", "skipped", "dropped")
        if needs_undoing and not none and step.undo.status not in ("compensated", "waived") and name not in last.left:
            yield f"30: it was abandoned and does not say that {name} is left as it is"


def _failed(definition: Definition, state: SagaState, events: History, undone: list[str]) -> Iterator[str]:
    for name, step in state.steps.items():
        none = step.action.status in ("refused", "skipped") or definition.steps[name].compensation is None
        wanted = 0 if none else 1
        if _undone_at_last(events, name) != wanted or undone.count(name) > wanted + step.epoch:
            yield f"15: {name} ({step.action.status}) was undone {undone.count(name)} times"
    for name, fan in state.fans.items():
        names = _names(state, name)
        missing = [one for one in names[: fan.begun] if one not in state.steps]
        more = [one for one in names[fan.begun :] if one in state.steps]
        if missing or more:
            yield f"27: {missing} were begun and not undone, {more} were undone and never begun"
    if state.cause is None:
        yield "25: it failed and the cause is lost"


def _names(state: SagaState, step: str) -> list[str]:
    """Return the names under which a declared step ran: its own, or those of its parts."""
    fan = state.fans.get(step)
    return [step] if fan is None else [part_name(step, number) for number in range(len(fan.elements))]


class _Order:
    """The order of steps, parts of steps included."""

    def __init__(self, definition: Definition) -> None:
        self._stage_of = {step.name: n for n, stage in enumerate(definition.stages) for step in stage}
        self._definition = definition

    def is_later(self, state: SagaState, name: str, other: str) -> bool:
        """Tell whether `name` causally follows `other`."""
        own, others = self._definition.steps[name].name, self._definition.steps[other].name
        part, another = part_of(name), part_of(other)
        if own == others and part is not None and another is not None:
            return state.fans[own].width == 1 and part[1] > another[1]
        return self._stage_of[own] > self._stage_of[others]


def _undone_at_last(events: History, name: str) -> int:
    """Return how often a step was undone since it last succeeded (after a late success, once more)."""
    times = 0
    for event in events:
        if isinstance(event, e.StepSucceeded) and event.step == name:
            times = 0
        times += isinstance(event, e.StepCompensated) and event.step == name
    return times


def judge_rows(definition: Definition, store: Store, saga_id: str) -> list[str]:
    """Return what is wrong with the rows of one saga, compared with its events."""
    row = store.status(saga_id)
    assert row is not None
    events: History = CODEC.decode_all((event.topic, event.state) for event in store.read(saga_id))
    return list(_rows(definition, store, row, fold(events)))


def _rows(definition: Definition, store: Store, row: StatusRow, state: SagaState) -> Iterator[str]:
    """Check the tables against the log (invariant 48), and the conditions of the audits."""
    expected = replace(status_row(definition, row.saga_id, state), position=row.position, owner=row.owner)
    if expected != row:
        yield f"48: its status row is {row}, the log says {expected}"
    found = {(step.step, step.direction): replace(step, position=0) for step in store.steps(row.saga_id)}
    wanted = {(step.step, step.direction): step for step in step_rows(definition, row.saga_id, None, state)}
    if found != wanted:
        differing = {key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)}
        yield f"48: its step rows differ from the log: {differing}: {found} / {wanted}"
    ended = row.status in ENDED
    if ended != (row.ended_at is not None) or (ended and row.due_at is not None):
        yield "48: ended_at or due_at does not fit its status"
    if not ended and row.status != "stuck" and row.due_at is None and row.owner is None and state.paused is None:
        yield "33: it is open and nobody will ever look at it"
    if row.status == "stuck" and not row.error_text:
        yield "48: it is stuck and its row does not say why"
    for (step, direction), one in found.items():
        undo = found.get((step, "compensation"))
        undone = undo is not None and undo.status in ("compensated", "waived")
        effect = direction == "action" and one.status not in ("refused", "skipped")
        if row.status == "failed" and effect and not undone:
            yield f"15: its row says failed and that {step} is {one.status} and not undone"


def _order(definition: Definition, events: History) -> Iterator[str]:
    """Check invariants 13, 17, 18 and 19, event by event."""
    order = _Order(definition)
    state: SagaState | None = None
    for event in events:
        before, state = state, evolve(state, event)
        if before is None:
            continue
        if isinstance(event, e.StepCompensated):
            for name, step in before.steps.items():
                waits = is_to_undo(step) and not step.late
                if waits and order.is_later(before, name, event.step):
                    yield f"17: {event.step} was undone before {name}"
            if is_open(before.steps[event.step].action):
                yield f"18: {event.step} was undone before its own action had ended"
        if isinstance(event, e.CompensationStarted) and event.plan and definition.pivot is not None:
            late = before.status in ("failed", "compensating")
            pivot = before.steps.get(definition.pivot, UNTOUCHED)
            if pivot.action.status == "succeeded" and not late:
                yield "13: it began to undo after the pivot"


def judge_trace(
    definitions: dict[str, Definition],
    rows: dict[str, StatusRow],
    histories: dict[str, History],
    trace: list[Entry],
) -> list[str]:
    """Return what was done at the wrong time by processes that held their lease (invariants 17, 18, 19 and 35)."""
    walk = _Walk(definitions, rows, histories)
    for entry in trace:
        walk.take(entry)
    return walk.found


class _Walk:
    """Walks through the trace; a process that lost its lease is fenced and not judged until it has a new one."""

    def __init__(
        self, definitions: dict[str, Definition], rows: dict[str, StatusRow], histories: dict[str, History]
    ) -> None:
        self.found: list[str] = []
        self._definitions = definitions
        self._rows = rows
        self._histories = histories
        self._states: dict[str, SagaState] = {}
        self._fenced: set[Incarnation | None] = set()
        self._in_flight: dict[tuple[str, str, bool], list[Incarnation | None]] = {}

    def take(self, entry: Entry) -> None:
        """Check the next line of the trace."""
        inside = entry.incarnation
        key = (entry.saga_id, entry.step, entry.undoing)
        if entry.kind == "leased":
            self._fenced.discard(inside)
        elif entry.kind == "lost":
            self._fenced.add(inside)
            for running in self._in_flight.values():
                running[:] = [other for other in running if other is not inside]
        elif entry.kind == "fenced":
            self.found.append(f"35: {inside} appended to {entry.saga_id}, which it did not own")
        elif entry.kind == "written":
            known = self._states.get(entry.saga_id)
            done = 0 if known is None else known.version
            news = self._histories[entry.saga_id][done : entry.version]
            self._states[entry.saga_id] = fold(news, known)
        elif entry.kind == "began":
            if inside not in self._fenced:
                self._begins(entry)
                self._in_flight.setdefault(key, []).append(inside)
        elif entry.kind == "ended":
            running = self._in_flight.get(key, [])
            if inside in running:
                running.remove(inside)

    def _begins(self, entry: Entry) -> None:
        state = self._states[entry.saga_id]
        if not entry.undoing:
            if state.status not in FORWARD:
                self.found.append(f"19: {entry.step} of {entry.saga_id} began while {state.status}")
            return
        running = [one for one in self._in_flight.get((entry.saga_id, entry.step, False), []) if _lived(one, entry)]
        if running:
            self.found.append(f"18: {entry.step} of {entry.saga_id} is undone while {running} does it")
        if state.status != "compensating":
            self.found.append(f"13: {entry.step} of {entry.saga_id} is undone while {state.status}")
        definition = self._definitions[self._rows[entry.saga_id].definition]
        order = _Order(definition)
        for name, step in state.steps.items():
            if is_to_undo(step) and order.is_later(state, name, entry.step):
                self.found.append(f"17: undoing {entry.step} of {entry.saga_id} began before {name} was undone")


def _lived(incarnation: Incarnation | None, entry: Entry) -> bool:
    # Attempts of a dead process are no longer in flight, though their end is not in the trace.
    return incarnation is not None and (incarnation.died_at is None or incarnation.died_at > entry.at)
