"""Simulations of the reference saga, of trips and of the lines of an order; what must hold is in `judge`."""

import functools
import gc
import itertools
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sagas.families import FAMILY, Company, family_services, order_saga
from sagas.families import Order as FamilyOrder
from sagas.lines import Line, Warehouse, line_services, lines_saga
from sagas.lines import Order as LineOrder
from sagas.shop import Shop
from sagas.trip import Agency, Trip, trip_saga, trip_services

from domain.fulfilment import fulfil_order
from domain.ordering.messages import CARRIER_NEVER, Order, OrderLine
from sagalog.testing.simulation.faults import CrashAt, Faults, Odds, RandomFaults
from sagalog.testing.simulation.run import Notice, Operation, Request, Simulation
from sagalog.testing.simulation.verdict import judge
from sagalog.testing.simulation.world import World

SEEDED = "tests/simulation/test_random_seeds.py"
# Every way the reference saga can end, each told by its input alone.
OUTCOMES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "completed": ("completed", {}),
    "the carrier is down twice": ("completed", {"carrier_down_for": 2}),
    "the carrier is mute twice": ("completed", {"carrier_mute_for": 2}),
    "no stock": ("failed", {"lines": (OrderLine(sku="mug", quantity=1_000),)}),
    "declined": ("failed", {"card_token": "tok_declined"}),
    "no service to the destination": ("failed", {"destination": "Atlantis"}),
    "the carrier is never there": ("failed", {"carrier_down_for": CARRIER_NEVER}),
    "the carrier never answers": ("failed", {"carrier_mute_for": CARRIER_NEVER}),
    "the refund is slow": ("failed", {"destination": "Atlantis", "card_token": "tok_slow_refund"}),
    "the refund cannot be made": ("stuck", {"destination": "Atlantis", "card_token": "tok_closed_account"}),
}


@functools.cache
def _shop() -> tuple[Shop, bytes]:
    """Open one shop in memory for all simulations of this process, and keep the image they begin from."""
    shop = Shop()
    shop.inventory.receive_all({"opening": ("mug", 100)})
    return shop, shop.database.image()


def order(order_id: str, outcome: str) -> Order:
    """Make an order that comes out as asked for."""
    fields: dict[str, Any] = {
        "order_id": order_id,
        "customer": "Ada",
        "lines": (OrderLine(sku="mug", quantity=1),),
        "total_cents": 100,
        "card_token": "tok_visa",
        "destination": "Lisbon",
    }
    return Order(**(fields | dict(OUTCOMES[outcome][1])))


class Scenario:
    """A simulation, its requests, and what is to be asked of the services afterwards."""

    def __init__(
        self,
        simulation: Simulation,
        requests: Sequence[Request | Notice | Operation],
        disagreements: Callable[[Simulation], list[str]],
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.simulation = simulation
        self.requests = requests
        self._disagreements = disagreements
        self._prepare = prepare

    def findings(self) -> list[str]:
        """Run it and return everything that is wrong."""
        self._prepare()
        self.simulation.run(self.requests)
        return judge(self.simulation) + self._disagreements(self.simulation)

    def ends(self) -> dict[str, str]:
        """Return the status of each saga by its key."""
        return {row.saga_key: row.status for row in self.simulation.world.store.rows()}


def orders(seed: int, outcomes: list[str], faults: Callable[[World], Faults] | None, **options: Any) -> Scenario:
    """Return a simulation of orders in a fresh shop."""
    shop, image = _shop()
    services = shop.services()

    def mend() -> None:
        for number in range(len(outcomes)):
            shop.payments.reopen_account(f"order-{number}")

    simulation = Simulation(seed, [fulfil_order], lambda _: services, faults=faults, mend=mend, **options)
    seeded = random.Random(seed)
    requests = [
        Request(
            saga=fulfil_order,
            input=order(f"order-{number}", outcome),
            key=f"order-{number}",
            repeats=seeded.randrange(3),
        )
        for number, outcome in enumerate(outcomes)
    ]

    def disagreements(simulation: Simulation) -> list[str]:
        ended = {row.saga_key: row.status for row in simulation.world.store.rows()}
        return [f"23: {violation}" for violation in shop.reconcile(ended)]

    return Scenario(simulation, requests, disagreements, lambda: shop.database.restore(image))


def trips(seed: int, wanted: list[Trip], faults: Callable[[World], Faults] | None, **options: Any) -> Scenario:
    """Return a simulation of trips."""
    agencies: list[Agency] = []

    def services(world: World) -> Mapping[type, object]:
        made = trip_services(world)
        agencies.extend(service for service in made.values() if isinstance(service, Agency))
        return made

    def mend() -> None:
        agencies[0].mended = True

    simulation = Simulation(seed, [trip_saga], services, faults=faults, mend=mend, **options)
    seeded = random.Random(seed)
    requests = [Request(saga=trip_saga, input=trip, key=trip.trip_id, repeats=seeded.randrange(3)) for trip in wanted]

    def disagreements(simulation: Simulation) -> list[str]:
        ended = {row.saga_id: row.status for row in simulation.world.store.rows()}
        return [f"23: {text}" for text in agencies[0].participant.disagreements(ended)]

    return Scenario(simulation, requests, disagreements)


def a_trip(seeded: random.Random, trip_id: str) -> Trip:
    """Make a trip on which few things go wrong, each in any way."""
    steps = ("book_flight", "book_hotel", "book_car", "pay", "issue_tickets", "send_mail")
    scripts: dict[str, str] = {}
    for step in seeded.sample(steps, seeded.choice((0, 0, 1, 1, 2))):
        scripts[step] = seeded.choice(("refused", "down 2", "mute 2", "down 99", "mute 99", "fault"))
    for step in seeded.sample(steps[:4], seeded.choice((0, 0, 0, 1, 2))):
        scripts[f"{step} undo"] = seeded.choice(("refused", "down 3", "mute 3", "down 99", "fault"))
    return Trip(
        trip_id=trip_id,
        wants_car=seeded.random() < 0.5,
        wants_mail=seeded.random() < 0.5,
        scripts=scripts,
    )


def line_orders(
    seed: int, wanted: list[LineOrder], faults: Callable[[World], Faults] | None, **options: Any
) -> Scenario:
    """Return a simulation of orders whose lines are steps of their own."""
    warehouses: list[Warehouse] = []

    def services(world: World) -> Mapping[type, object]:
        made = line_services(world)
        warehouses.extend(service for service in made.values() if isinstance(service, Warehouse))
        return made

    def mend() -> None:
        warehouses[0].mended = True

    simulation = Simulation(seed, [lines_saga], services, faults=faults, mend=mend, **options)
    requests = [Request(saga=lines_saga, input=order, key=order.order_id) for order in wanted]

    def disagreements(simulation: Simulation) -> list[str]:
        ended = {row.saga_id: row.status for row in simulation.world.store.rows()}
        return [f"23: {text}" for text in warehouses[0].participant.disagreements(ended)]

    return Scenario(simulation, requests, disagreements)


def a_line_order(seeded: random.Random, order_id: str) -> LineOrder:
    """Make an order of a few lines on which few things go wrong, each in any way."""
    lines = tuple(Line(f"sku-{number}") for number in range(seeded.choice((0, 1, 2, 3, 4))))
    parts = [f"{step}[{number}]" for step in ("reserve", "pack") for number in range(len(lines))]
    steps = [*parts, "charge", "close", "print_label[0]", "print_label[1]"]
    scripts: dict[str, str] = {}
    for step in seeded.sample(steps, seeded.choice((0, 1, 1, 2))):
        scripts[step] = seeded.choice(("refused", "down 2", "mute 2", "down 99", "mute 99", "fault"))
    for step in seeded.sample(parts, min(len(parts), seeded.choice((0, 0, 1)))):
        scripts[f"{step} undo"] = seeded.choice(("refused", "down 3", "mute 3", "down 99", "fault"))
    return LineOrder(order_id=order_id, lines=lines, labels=seeded.choice((0, 2)), scripts=scripts)


def families(
    seed: int, wanted: list[FamilyOrder], faults: Callable[[World], Faults] | None, **options: Any
) -> Scenario:
    """Return a simulation of orders that have sagas for steps, one of which has a saga for a step."""
    companies: list[Company] = []

    def services(world: World) -> Mapping[type, object]:
        made = family_services(world)
        companies.extend(service for service in made.values() if isinstance(service, Company))
        return made

    def mend() -> None:
        companies[0].mended = True

    simulation = Simulation(seed, FAMILY, services, faults=faults, mend=mend, **options)
    requests = [Request(saga=order_saga, input=order, key=order.order_id) for order in wanted]

    def disagreements(simulation: Simulation) -> list[str]:
        ended = {row.saga_id: row.status for row in simulation.world.store.rows()}
        return [f"23: {text}" for text in companies[0].participant.disagreements(ended)]

    return Scenario(simulation, requests, disagreements)


def a_family(seeded: random.Random, order_id: str) -> FamilyOrder:
    """Make an order with children in which few things go wrong, each in any way."""
    steps = ("charge", "pack", "print_label", "hand_over", "wrap", "inform", "close")
    scripts: dict[str, str] = {}
    for step in seeded.sample(steps, seeded.choice((0, 1, 1, 2))):
        scripts[step] = seeded.choice(("refused", "down 2", "mute 2", "down 99", "mute 99", "fault"))
    for step in seeded.sample(steps, seeded.choice((0, 0, 1))):
        scripts[f"{step} undo"] = seeded.choice(("refused", "down 3", "mute 3", "down 99", "fault"))
    return FamilyOrder(order_id=order_id, wants_gift=seeded.random() < 0.5, scripts=scripts)


def at_random(seed: int, odds: Odds | None = None, **more: Any) -> Scenario:
    """Return the simulation that belongs to a seed: everything in it is drawn from the seed, or all but the odds."""
    seeded, faults, options = drawn(seed, odds)
    options |= more
    if seeded.random() < 0.6:
        outcomes = seeded.choices(list(OUTCOMES), k=seeded.choice((1, 1, 2)))
        return orders(seed, outcomes, faults, **options)
    if seeded.random() < 0.6:
        return trips(seed, [a_trip(seeded, "trip-1")], faults, **options)
    if seeded.random() < 0.5:
        return line_orders(seed, [a_line_order(seeded, "order-1")], faults, **options)
    return families(seed, [a_family(seeded, "order-1")], faults, **options)


def drawn(seed: int, odds: Odds | None = None) -> tuple[random.Random, Callable[[World], Faults], dict[str, Any]]:
    """Draw what every simulation has: how often what goes wrong, on how many workers."""
    seeded = random.Random(seed)
    odds = odds or Odds(
        crash=seeded.choice((0.0, 0.02, 0.05, 0.1)),
        pause=seeded.choice((0.0, 0.0, 0.02, 0.05)),
        unavailable=seeded.choice((0.0, 0.03, 0.1)),
        read_only=seeded.choice((0.0, 0.0, 0.02)),
        refused=seeded.choice((0.0, 0.0, 0.05)),
        locked=seeded.choice((0.0, 0.0, 0.05)),
        too_large=seeded.choice((0.0, 0.0, 0.03)),
        most=seeded.randrange(1, 8),
        cut=seeded.choice((0.0, 0.0, 0.03)),
    )
    options: dict[str, Any] = {
        "workers": seeded.choice((1, 1, 2)),
        "resumes": seeded.choice((0, 1)),
        "shutdowns": seeded.random() < 0.2,
    }

    def faults(world: World) -> Faults:
        return RandomFaults(world.seeded, odds)

    return seeded, faults, options


TWO_LINES = (Line("mug"), Line("pen"))
# Ends of a saga over the lines of an order, by what happens to it.
LINE_OUTCOMES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "both lines": ("completed", {"lines": TWO_LINES, "labels": 2}),
    "the second line is refused": ("failed", {"lines": TWO_LINES, "scripts": {"reserve[1]": "refused"}}),
    "side by side, the second is never answered": ("failed", {"lines": TWO_LINES, "scripts": {"pack[1]": "mute 99"}}),
}
# Ends of a saga that has a saga for a step, which has one in its turn.
FAMILY_OUTCOMES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "with its children": ("completed", {}),
    "undone with its children": ("failed", {"scripts": {"close": "refused"}}),
    "rolled back while its child runs": ("failed", {"scripts": {"inform": "refused"}}),
    "its grandchild is refused": ("failed", {"scripts": {"print_label": "refused"}}),
}
EVERY_OUTCOME = {**OUTCOMES, **LINE_OUTCOMES, **FAMILY_OUTCOMES}
# How far apart two crashes are in the longer ones, whose pairs would be too many.
NEAR = 4
NEVER = 1_000_000


def crashing(outcome: str, *points: int) -> tuple[Scenario, CrashAt]:
    """Return the simulation of one order that crashes at the given points, and what counts the points."""
    crash = CrashAt(*points)
    if outcome in FAMILY_OUTCOMES:
        family = FamilyOrder(order_id="order-0", **FAMILY_OUTCOMES[outcome][1])
        return families(1, [family], lambda _: crash, restart=0.5), crash
    if outcome in LINE_OUTCOMES:
        order = LineOrder(order_id="order-0", **LINE_OUTCOMES[outcome][1])
        return line_orders(1, [order], lambda _: crash, restart=0.5), crash
    return orders(1, [outcome], lambda _: crash, restart=0.5), crash


@contextmanager
def collecting_rarely() -> Generator[None, None, None]:
    """Let garbage be collected only where the code says so: each run leaves its own in one piece."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def check_seeds(seeds: range, scenario: Callable[[int], Scenario] = at_random) -> dict[int, list[str]]:
    """Run many seeds and return what was found, by seed."""
    found: dict[int, list[str]] = {}
    with collecting_rarely():
        for number, seed in enumerate(seeds):
            findings = scenario(seed).findings()
            if findings:
                found[seed] = findings
            if number % 50 == 49:
                gc.collect()
    return found


def check_crashes(outcome: str) -> tuple[int, dict[tuple[int, ...], list[str]]]:
    """Crash one outcome at every point, alone and in pairs; return how many runs that were and what was found.

    Of the reference saga every pair is taken, of the longer ones those that are near each other.
    """
    found: dict[tuple[int, ...], list[str]] = {}
    runs = 0
    wanted = EVERY_OUTCOME[outcome][0]
    with collecting_rarely():
        for first in itertools.count(1):
            # A second point that is never reached: the first one alone.
            seconds = itertools.count(first + 1) if outcome in OUTCOMES else (*range(first + 1, first + NEAR), NEVER)
            passed = 0
            for second in seconds:
                scenario, crash = crashing(outcome, first, second)
                findings = scenario.findings()
                if scenario.ends().get("order-0") != wanted:
                    findings.append(f"it should have ended {wanted}, found {scenario.ends()}")
                if findings:
                    found[first, second] = findings
                runs += 1
                if runs % 50 == 0:
                    gc.collect()
                passed = crash.passed
                if passed < second and second != NEVER and outcome in OUTCOMES:
                    break
            if passed < first:
                return runs, found
    raise AssertionError("there is always a last point")


def told(found: dict[int, list[str]], where: str = SEEDED) -> str:
    """Say for each failing seed what it broke, and the one command that repeats it."""
    lines: list[str] = []
    for seed, findings in sorted(found.items())[:10]:
        lines += [f"seed {seed}:", *(f"  {text}" for text in findings)]
        lines.append(f"  repeat it with: python -m pytest {where} --seed {seed}")
    return "\n".join([f"{len(found)} seeds fail", *lines])
