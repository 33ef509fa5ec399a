"""People who act on sagas while these run, at every event and during attempts, with a crash at every append and effect."""

import gc
import itertools
from collections.abc import Iterator, Sequence

from lab.scenarios import EVERY_OUTCOME, Scenario, collecting_rarely, crashing

from sagalog.codec import CODEC
from sagalog.saga import events as e
from sagalog.saga.events import Verb
from sagalog.testing.simulation.faults import CrashAt
from sagalog.testing.simulation.run import Operation

KEY = "order-0"
# Seconds of virtual time after an event at which somebody acts: at once, and while the next attempt is under way.
MOMENTS = (0.0, 0.012, 0.05)


def acting(outcome: str, people: Sequence[Operation], *points: int) -> tuple[Scenario, CrashAt]:
    """Return the simulation of one order on which people act, which crashes at the given points."""
    scenario, crash = crashing(outcome, *points)
    scenario.requests = [*scenario.requests, *people]
    return scenario, crash


def histories(scenario: Scenario) -> dict[str, list[e.SagaEvent]]:
    store = scenario.simulation.world.store
    return {
        row.saga_id: CODEC.decode_all((event.topic, event.state) for event in store.read(row.saga_id))
        for row in store.rows()
    }


def length(outcome: str) -> int:
    """Return how many events the saga of an outcome has when nobody acts on it."""
    scenario, _ = crashing(outcome)
    scenario.findings()
    store = scenario.simulation.world.store
    return next(row.version for row in store.rows() if row.saga_key == KEY)


def findings(scenario: Scenario, people: Sequence[Operation]) -> list[str]:
    """Run it and return what is wrong: with the sagas, and with what became of the actions."""
    found = scenario.findings()
    told = scenario.simulation.told
    recorded = [
        (event.action_id, "refused" if isinstance(event, e.ActionRefused) else "done")
        for history in histories(scenario).values()
        for event in history
        if isinstance(event, e.ActionTaken | e.ActionRefused) or (isinstance(event, e.SagaResumed) and event.action_id)
    ]
    for person in people:
        answers = {how for action_id, how in recorded if action_id == person.id}
        times = [action_id for action_id, _ in recorded].count(person.id)
        if person.id not in told:
            found.append(f"49: nobody answered {person}")
        elif len(answers) != 1:
            found.append(f"49: {person} was recorded {times} times, as {answers or 'nothing'}")
        elif ("done" in answers) != (told[person.id] == "done"):
            found.append(f"49: {person} was {answers} and told {told[person.id]}")
    return found


def check_cancels(outcome: str) -> tuple[int, int, dict[tuple[object, ...], list[str]]]:
    """Cancel one outcome at every event and moment, with a crash at every point; return runs, cancels and findings."""
    found: dict[tuple[object, ...], list[str]] = {}
    runs = cancelled = 0
    with collecting_rarely():
        for version, after in itertools.product(range(1, length(outcome) + 1), MOMENTS):
            people = [Operation(verb="cancel", key=KEY, id="a-1", version=version, after=after)]
            for point in itertools.count(0):
                scenario, crash = acting(outcome, people, *([point] if point else []))
                wrong = findings(scenario, people)
                done = scenario.simulation.told.get("a-1") == "done"
                ended = scenario.ends()[KEY]
                expected = "failed" if done else EVERY_OUTCOME[outcome][0]
                if ended != expected and not (ended == "stuck" == EVERY_OUTCOME[outcome][0]):
                    wrong.append(f"it should have ended {expected}, found {ended}")
                if wrong:
                    found[version, after, point] = wrong
                runs += 1
                cancelled += done
                if runs % 50 == 0:
                    gc.collect()
                if point and crash.passed < point:
                    break
    return runs, cancelled, found


PAIRS: tuple[tuple[Verb, ...], ...] = (
    ("cancel", "cancel"),
    ("pause", "unpause"),
    ("cancel", "abandon"),
    ("retry", "cancel"),
    ("pause", "cancel"),
    ("resume", "retry"),
    ("abandon", "abandon"),
    ("undo", "cancel"),
)


def people_of(verbs: Sequence[Verb], version: int, after: float) -> Iterator[Operation]:
    for number, verb in enumerate(verbs):
        yield Operation(verb=verb, key=KEY, id=f"a-{number}", version=version, after=after)
