"""What `saga_attempts` says of random histories, at any moment of them: what the log holds, and what `show` shows."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases.stores import migrated_database, opened
from lab.message_scenarios import messages_at_random
from lab.scenarios import at_random
from msgspec.structs import replace

from sagalog.codec import CODEC
from sagalog.readmodel.rows import command_rows, sent_messages, status_row, step_rows
from sagalog.saga import events as e
from sagalog.saga.evolve import fold
from sagalog.store import Append, StepRow, Store
from sagalog.testing.simulation.run import Simulation

Attempt = tuple[Any, ...]
ORCHESTRATED, BY_MESSAGES = range(70), range(40)
COLUMNS = (
    "step, direction, attempt, outcome, started_at, ended_at, error_kind, error_type, error_text, retry_at, message_id"
)


@pytest.fixture(scope="module")
def simulations() -> list[Simulation]:
    """Runs of sagas of every family, with crashes, lost answers and repeated messages."""
    scenarios = [*map(at_random, ORCHESTRATED), *map(messages_at_random, BY_MESSAGES)]
    for scenario in scenarios:
        assert scenario.findings() == []
    return [scenario.simulation for scenario in scenarios]


def moments(simulation: Simulation, seeded: random.Random) -> Iterator[Append]:
    """Yield each saga of a run as it stood at some moment, as one append."""
    definitions = {saga.definition.digest: saga.definition for saga in simulation.sagas}
    store = simulation.world.store
    for row in store.rows():
        stored = store.read(row.saga_id)
        # Cut where it pleases, and half of them not at all.
        stored = stored[: seeded.choice((len(stored), seeded.randint(1, len(stored))))]
        events = CODEC.decode_all((one.topic, one.state) for one in stored)
        definition, state = definitions[row.definition], fold(events)
        status = status_row(definition, row.saga_id, state)
        yield Append(
            saga_id=row.saga_id,
            expected=0,
            events=[(one.topic, one.state) for one in stored],
            # Each run has the same keys.
            status=replace(status, saga_key=f"{row.saga_id} {status.saga_key}"),
            steps=step_rows(definition, row.saga_id, None, state),
            holder=None,
            messages=sent_messages(row.saga_id, state, events),
            commands=command_rows(definition, row.saga_id, None, state),
        )


def ended(event: e.SagaEvent) -> Attempt | None:
    """Return the attempt that an event ends."""
    match event:
        case e.StepSucceeded():
            outcome: tuple[Any, ...] = ("action", event.attempt, "late" if event.late else "succeeded")
        case e.StepFailed():
            outcome = ("action", event.attempt, event.outcome)
        case e.StepCompensated():
            outcome = ("compensation", event.attempt, "compensated")
        case e.CompensationFailed():
            kind = "refused" if event.error.kind == "refused" else "unknown"
            outcome = ("compensation", event.attempt, kind)
        case _:
            return None
    error = getattr(event, "error", None)
    about = (None, None, None) if error is None else (error.kind, error.type, error.message)
    return (event.step, *outcome, event.began, event.time, *about, getattr(event, "retry_at", None), event.message)


def waiting(append: Append) -> Iterator[Attempt]:
    """Yield the attempts that wait for somebody: by the rows that `show` shows, and by the commands sent to undo."""
    nothing = (None,) * 6
    for row in append.steps:
        if row.status == "waiting":
            yield row.step, "action", row.attempts, "waiting", row.started_at, *nothing
    events = CODEC.decode_all(append.events)
    for command in append.commands:
        if command.direction == "compensation" and command.status == "sent":
            asked = [x for x in events if isinstance(x, e.RequestSent) and x.command_id == command.command_id]
            yield command.step, "compensation", asked[-1].attempt, "waiting", asked[-1].time, *nothing


def in_order(attempts: Iterable[Attempt]) -> list[Attempt]:
    return sorted(attempts, key=repr)


def as_shown(row: StepRow, attempts: list[Attempt]) -> None:
    """Compare what `show` shows of one direction of a step with its attempts."""
    mine = [one for one in attempts if one[:2] == (row.step, row.direction)]
    past = [one for one in mine if one[3] != "waiting"]
    if row.status != "waiting":
        assert row.attempts == max((one[2] for one in past), default=0)
    if row.attempts == 0:
        assert mine == past == [] or row.direction == "compensation"
        return
    last = mine[-1] if row.status == "waiting" else past[-1]
    assert (row.attempts, row.started_at, row.ended_at) == (last[2], last[4], last[5])
    errors = [one[7:9] for one in past if one[7] is not None]
    assert (row.error_type, row.error_text) == (errors[-1] if errors else (None, None))
    outcome = {"waiting": "waiting", "refused": "refused", "compensated": "compensated"}.get(row.status)
    assert last[3] in ((outcome,) if outcome else ("succeeded", "late", "unknown", "refused"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(migrated_database(request.param, tmp_path, request)) as store:
        yield store


def test_every_attempt_is_one_row_whatever_happened(store: Store, simulations: list[Simulation]) -> None:
    """Invariant 48: what SQL says of attempts is what the events say, and what the rows say that `show` shows."""
    seeded = random.Random(9)
    appends = [append for simulation in simulations for append in moments(simulation, seeded)]
    assert store.append(appends) == ["written"] * len(appends)
    _, rows = store.query(f"SELECT saga_id, {COLUMNS} FROM saga_attempts ORDER BY position")
    by_saga: dict[str, list[Attempt]] = {}
    for saga_id, *attempt in rows:
        by_saga.setdefault(saga_id, []).append(tuple(attempt))
    for append in appends:
        found = by_saga.pop(append.saga_id, [])
        past = [one for one in map(ended, CODEC.decode_all(append.events)) if one is not None]
        assert [one for one in found if one[3] != "waiting"] == past
        assert in_order([one for one in found if one[3] == "waiting"]) == in_order(waiting(append))
        for row in append.steps:
            as_shown(row, found)
    assert by_saga == {}
    assert {row[4] for row in rows} == {"succeeded", "late", "refused", "unknown", "compensated", "waiting"}
    assert any(row[2] == "compensation" for row in rows if row[4] == "waiting")
