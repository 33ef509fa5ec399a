"""What is started in a run over all kinds of sagas: each made from its number alone, with how it may end.

Where a timer races something, both ends are right, and the checks hold the effects to the one that it took.
"""

from collections.abc import Mapping
from random import Random
from typing import Literal, NamedTuple

from torture import orders as torture_orders
from torture.voyages import CargoArrived, TripBooked, Voyage

from domain.ordering.messages import Order
from sagalog.store import StatusRow

Way = Literal["called", "told"]
EITHER = ("completed", "failed")
COMPLETED, FAILED, STUCK = ("completed",), ("failed",), ("stuck",)


class Plan(NamedTuple):
    """One kind of voyage: how many of a hundred, how it may end, and what happens in which step."""

    share: int
    ends: tuple[str, ...]
    scripts: Mapping[str, str] = {}


VOYAGES: Mapping[str, Plan] = {
    "fine": Plan(16, COMPLETED),
    "shaky": Plan(10, COMPLETED, {"hold": "mute-2", "berth": "fail-1", "load[1]": "fail-2", "announce": "fail-3"}),
    "cargo": Plan(10, COMPLETED, {"cargo": "awaited"}),
    "race": Plan(10, EITHER, {"race": "awaited"}),
    "tug": Plan(10, EITHER, {"tug": "late"}),
    "hasty": Plan(8, EITHER),
    "no-hold": Plan(2, FAILED, {"hold": "refuse"}),
    "no-berth": Plan(4, FAILED, {"berth": "refuse"}),
    "no-paint": Plan(4, FAILED, {"paint": "refuse", "hold undo": "fail-2"}),
    "no-look": Plan(4, FAILED, {"inspect": "refuse", "paint undo": "fail-1"}),
    "no-load": Plan(4, FAILED, {"load[0]": "refuse", "deliver undo": "fail-1"}),
    "no-meal": Plan(4, FAILED, {"deliver": "refuse", "buy": "mute-1"}),
    "no-food": Plan(3, FAILED, {"buy": "refuse"}),
    "no-stow": Plan(4, FAILED, {"stow[2]": "refuse", "stow[1]": "fail-1"}),
    "no-sail": Plan(4, FAILED, {"depart": "refuse", "cargo": "awaited"}),
    "stuck-back": Plan(2, STUCK, {"depart": "refuse", "berth undo": "refuse"}),
    "stuck-ahead": Plan(1, STUCK, {"announce": "refuse"}),
}
TRIPS: Mapping[str, tuple[str, ...]] = {"fine": COMPLETED, "full": FAILED, "poor": FAILED}
# Of a hundred that are started.
SHARES = {"order": 20, "voyage": 60, "trip": 20}
FAMILIES = [family for family, share in SHARES.items() for _ in range(share)]
KINDS = [kind for kind, plan in VOYAGES.items() for _ in range(plan.share)]
WAITING = ("cargo", "race")


class Start(NamedTuple):
    """What is started under one number: by a call, or by an event that tells of it."""

    key: str
    what: Order | Voyage | TripBooked
    way: Way
    hasty: bool = False
    then: CargoArrived | None = None


def start_of(number: int, orders_only: bool) -> Start:
    """Make what is started under a number."""
    chance = Random(f"plan {number}")
    family = "order" if orders_only else chance.choice(FAMILIES)
    if family == "order":
        return Start(torture_orders.key_of(number), torture_orders.order_of(number), "called")
    if family == "trip":
        script = chance.choice([*TRIPS, "fine"])
        key = f"trip-{number:06}-{script}"
        return Start(key, TripBooked(trip_id=key, script=script), "told")
    kind = chance.choice(KINDS)
    key = f"voyage-{number:06}-{kind}"
    scripts = dict(VOYAGES[kind].scripts)
    voyage = Voyage(voyage_id=key, crates=list(range(chance.choice([0, 3, 3, 4]))), scripts=scripts)
    if kind in ("no-load", "no-stow", "shaky"):
        voyage = Voyage(voyage_id=key, crates=[0, 1, 2], scripts=scripts)
    if kind == "hasty":
        return Start(key, voyage, "called", hasty=True)
    if any(waits in scripts for waits in WAITING):
        return Start(key, voyage, "called", then=CargoArrived(voyage_id=key))
    return Start(key, voyage, chance.choice(["called", "called", "told"]))


def ends_of(key: str) -> tuple[str, ...]:
    """Return how the saga with this key may end, however often its workers are killed."""
    family, _, kind = key.split("-", 2)
    if family == "order":
        return (torture_orders.end_of(key),)
    return TRIPS[kind] if family == "trip" else VOYAGES[kind].ends


def is_planned_stuck(row: StatusRow) -> bool:
    """Tell whether a saga is to stay stuck, because its plan says so."""
    planned = row.saga_key.startswith(("order-", "voyage-", "trip-"))
    return planned and "stuck" in ends_of(row.saga_key)


def parted(action: str) -> tuple[str, str]:
    """Return the saga (or the trip) and the step of an action in the ledger."""
    owner, _, step = action.partition(":")
    return owner, step


# Where a step stands: in which stage, and, where a stage has branches that run side by side, in which of them.
VOYAGE_STAGES: Mapping[str, tuple[int, str]] = {
    "hold": (0, ""), "berth": (1, ""), "tug": (2, ""),
    "paint": (3, "paint"), "inspect": (3, "inspect"), "cater": (3, "cater"), "load": (3, "load"),
    "stow": (4, ""), "depart": (5, ""), "announce": (6, ""), "bill": (7, ""), "clean": (8, ""),
    # Of the children, and of those who are nobody's.
    "bake": (0, ""), "shop": (1, ""), "deliver": (2, ""), "buy": (0, ""), "sweep": (0, ""),
    "seat": (0, ""), "pay": (1, ""),
}  # fmt: skip


def expected_steps(key: str, crates: int) -> set[str]:
    """Return the steps whose effects stand when the voyage or the trip with this key has completed."""
    family, _, kind = key.split("-", 2)
    if family == "trip":
        return {"seat", "pay"}
    steps = {"hold", "berth", "paint", "inspect", "depart", "announce", "bill"}
    steps |= {f"{name}[{number}]" for name in ("load", "stow") for number in range(crates)}
    return steps | {"tug"} if kind == "tug" else steps


CHILD_STEPS: Mapping[str, set[str]] = {
    "torture-catering": {"bake", "deliver"},
    "torture-shopping": {"buy"},
    "torture-cleaning": {"sweep"},
}
