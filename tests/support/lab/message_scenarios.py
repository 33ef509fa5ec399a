"""Simulations of sagas that speak by messages, from a seed; what must hold is in `judge` and `judge_messages`."""

import gc
import random
from collections.abc import Callable, Mapping
from typing import Any

from lab.scenarios import Scenario, collecting_rarely, drawn
from sagas.parcels import ParcelOrdered, ParcelPacked, Shelf, bank, parcel_saga, shelf

from sagalog.testing.simulation.faults import CrashAt, Faults
from sagalog.testing.simulation.message_verdict import judge_messages
from sagalog.testing.simulation.network import RemoteService
from sagalog.testing.simulation.run import SETTINGS, Notice, Request, Simulation
from sagalog.testing.simulation.world import World

SEEDED = "tests/simulation/test_random_messages.py"
# What a crash may delay a reply by is less than what a request waits.
QUICK = SETTINGS.model_copy(update={"lease": 0.5, "poll": 0.2})
# How a parcel can end, by how its steps go.
OUTCOMES: Mapping[str, tuple[str, dict[str, str]]] = {
    "completed": ("completed", {}),
    "nothing on the shelf": ("failed", {"set_aside": "refused"}),
    "declined": ("failed", {"charge": "refused"}),
    "charged, and never answered": ("failed", {"charge": "silent"}),
    "nobody knows whether it was dispatched": ("stuck", {"dispatch": "silent"}),
}


def parcels(
    seed: int,
    ordered: list[dict[str, str]],
    faults: Callable[[World], Faults] | None,
    *,
    slowest: float,
    copies: int = 3,
    packed_after: float = 0.5,
    **options: Any,
) -> Scenario:
    """Return a simulation of parcels, which speak by messages; each is told by how its steps go.

    None is packed before `packed_after` seconds are over.
    """
    shelves: list[Shelf] = []

    def services(world: World) -> Mapping[type, object]:
        shelves.append(Shelf(world))
        return {Shelf: shelves[0]}

    simulation = Simulation(
        seed,
        [parcel_saga],
        services,
        participants=[shelf],
        network=lambda world: bank(world, slowest, copies),
        faults=faults,
        **options,
    )

    def disagreements(simulation: Simulation) -> list[str]:
        network = simulation.network
        assert network is not None
        ended = {row.saga_id: row.status for row in simulation.world.store.rows()}
        found = [f"7: {text}" for text in shelves[0].store.disagreements(ended)]
        return [*found, *judge_messages(simulation), *remote_disagreements(network.service, ended)]

    return Scenario(simulation, notices_of(random.Random(seed), ordered, packed_after), disagreements)


def notices_of(seeded: random.Random, ordered: list[dict[str, str]], packed_after: float) -> list[Request | Notice]:
    """Return the events that order and pack each parcel, some of them repeated, some that never come."""
    notices: list[Request | Notice] = []
    for number, scripts in enumerate(ordered):
        parcel_id = f"parcel-{number}"
        order = ParcelOrdered(parcel_id=parcel_id, scripts=scripts)
        notices.append(Notice(event=order, id=f"{parcel_id} ordered", repeats=seeded.randrange(3)))
        if seeded.random() < 0.2:
            # Another message with the same key: it is refused, whether the first saga goes on or has ended.
            notices.append(Notice(event=order, id=f"{parcel_id} ordered again", after=seeded.random() * 40))
        if seeded.random() < 0.9:
            packed = ParcelPacked(parcel_id=parcel_id)
            after = packed_after + seeded.random() * 6
            notices.append(Notice(event=packed, id=f"{parcel_id} packed", repeats=seeded.randrange(3), after=after))
    return notices


def check_crashes(outcome: str) -> tuple[int, dict[int, list[str]]]:
    """Crash one outcome at every point; return how many runs that were and what was found."""
    found: dict[int, list[str]] = {}
    wanted, scripts = OUTCOMES[outcome]
    runs = 0
    with collecting_rarely():
        while True:
            runs += 1
            crash = CrashAt(runs)
            # Also the order that a crash holds up is in the log before the parcel is packed, or nobody would know it.
            options: dict[str, Any] = {
                "slowest": 0.2,
                "copies": 1,
                "restart": 0.2,
                "packed_after": 3.0,
                "settings": QUICK,
            }
            scenario = parcels(1, [scripts], _always(crash), **options)
            findings = scenario.findings()
            if scenario.ends() != {"parcel-0": wanted}:
                findings.append(f"it should have ended {wanted}, found {scenario.ends()}")
            if findings:
                found[runs] = findings
            if crash.passed < runs:
                return runs, found
            if runs % 50 == 0:
                gc.collect()


def _always(faults: Faults) -> Callable[[World], Faults]:
    return lambda _: faults


def remote_disagreements(service: RemoteService, ended: Mapping[str, str]) -> list[str]:
    """Return where what a service elsewhere did does not match how the sagas ended."""
    found = [f"7: {key} was made {times} times" for key, times in service.made.items() if times > 1]
    found += [f"23: {key} was undone {times} times" for key, times in service.undone.items() if times > 1]
    for key in service.standing():
        saga_id, _, step = key.partition(":")
        if ended.get(saga_id, "unknown") in ("failed", "unknown") and step != "dispatch":
            found.append(f"20: {key} still stands although its saga is {ended.get(saga_id)}")
    for key, times in service.undone.items():
        if times and ended.get(key.partition(":")[0]) == "completed":
            found.append(f"13: {key} was undone although its saga completed")
    return found


def a_parcel(seeded: random.Random) -> dict[str, str]:
    """Return how the steps of a parcel go: mostly well."""
    scripts: dict[str, str] = {}
    if seeded.random() < 0.3:
        scripts["set_aside"] = "refused"
    if seeded.random() < 0.5:
        scripts["charge"] = seeded.choice(("refused", "silent"))
    if seeded.random() < 0.2:
        scripts["dispatch"] = seeded.choice(("refused", "silent"))
    return scripts


def messages_at_random(seed: int) -> Scenario:
    """Return the simulation of messages that belongs to a seed."""
    seeded, faults, options = drawn(seed)
    options |= {"slowest": seeded.choice((0.5, 2.0, 6.0)), "copies": seeded.choice((1, 3))}
    return parcels(seed, [a_parcel(seeded) for _ in range(seeded.choice((1, 1, 2)))], faults, **options)
