"""People who act on sagas while these run: at every event and during attempts, with a crash at every point."""

import gc
import itertools
import random
from collections.abc import Iterator, Sequence

from lab.scenarios import EVERY_OUTCOME, Scenario, at_random, collecting_rarely, crashing

from sagalog.codec import CODEC
from sagalog.saga import events as e
from sagalog.saga.events import Verb
from sagalog.testing.simulation.faults import CrashAt
from sagalog.testing.simulation.run import Operation, Request

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


# What two people do to one saga at the same time.
PAIRS: tuple[tuple[Verb, Verb], ...] = (
    ("cancel", "cancel"),
    ("cancel", "abandon"),
    ("cancel", "retry"),
    ("cancel", "pause"),
    ("pause", "retry"),
    ("pause", "reschedule"),
    ("resume", "retry"),
    ("abandon", "resume"),
    ("undo", "undo"),
    ("undo", "cancel"),
)


def asked(verb: Verb, number: int, version: int, after: float, key: str = KEY) -> Operation:
    """Return what one person does; whoever pauses a saga lets it go on later."""
    what: dict[str, object] = {"at": 0.5} if verb == "reschedule" else {}
    then = None
    if verb == "pause":
        then = Operation(verb="unpause", key=key, id=f"a-{number}-end", after=2.0)
    return Operation(verb=verb, key=key, id=f"a-{number}", version=version, after=after, what=what, then=then)


def everybody(people: Sequence[Operation]) -> Iterator[Operation]:
    """Yield all that these people do, one after the other."""
    for person in people:
        yield person
        if person.then is not None:
            yield person.then


def check_pairs(outcome: str) -> tuple[int, dict[tuple[object, ...], list[str]]]:
    """Let two people act at the same time, at every second event, with a crash at every point."""
    found: dict[tuple[object, ...], list[str]] = {}
    runs = 0
    with collecting_rarely():
        for verbs, version in itertools.product(PAIRS, range(1, length(outcome) + 1, 2)):
            people = [asked(verb, number, version, 0.0) for number, verb in enumerate(verbs)]
            for point in itertools.count(0):
                scenario, crash = acting(outcome, people, *([point] if point else []))
                wrong = findings(scenario, list(everybody(people)))
                if wrong:
                    found[*verbs, version, point] = wrong
                runs += 1
                if runs % 50 == 0:
                    gc.collect()
                if point and crash.passed < point:
                    break
    return runs, found


VERBS_AT_RANDOM: tuple[Verb, ...] = ("cancel", "retry", "resume", "pause", "reschedule", "undo", "abandon")


def operated_at_random(seed: int) -> tuple[Scenario, list[Operation]]:
    """Return a simulation with faults, and up to four people who act at any time; everything follows from the seed."""
    scenario = at_random(seed)
    seeded = random.Random(seed)
    keys = [request.key for request in scenario.requests if isinstance(request, Request)]
    people = [
        asked(
            seeded.choice(VERBS_AT_RANDOM),
            number,
            seeded.randrange(1, 14),
            seeded.choice((0.0, 0.0, seeded.random(), 5 * seeded.random())),
            seeded.choice(keys),
        )
        for number in range(seeded.randrange(1, 5))
    ]
    scenario.requests = [*scenario.requests, *people]
    return scenario, list(everybody(people))


def check_operated(seeds: range) -> dict[int, list[str]]:
    """Return what was found wrong, by seed."""
    found: dict[int, list[str]] = {}
    with collecting_rarely():
        for seed in seeds:
            scenario, people = operated_at_random(seed)
            wrong = findings(scenario, people)
            if wrong:
                found[seed] = wrong
            if seed % 50 == 49:
                gc.collect()
    return found
